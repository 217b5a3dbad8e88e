// Sends files, several in a request and a few requests at a time, and shows what became of each.
// A ZIP is unpacked here, so that it may be of any size and goes on where it stopped. One that
// cannot be read here goes to the server as it is, which says what is wrong with it.
(function () {
  "use strict";

  const AT_ONCE = 4;
  const BATCH_FILES = 32;
  const BATCH_BYTES = 8e6;
  // The first files are on their way while the heads of the others are read.
  const SORT_FIRST = 64;
  const SORT_AT_ONCE = 500;
  // What is unpacked waits in memory: no more of it than is sent in a moment.
  const UNPACKED_BYTES = 64e6;
  const DEEPEST_ZIP = 3;
  const WAITS_MS = [1000, 4000, 10000];
  const MOST_ANSWERS = 2000;
  const WORTH_REPEATING = new Set([0, 429, 500, 502, 503, 504]);

  const { plural, sha256Of } = window;

  // ---------- One upload area ----------
  class Upload {
    constructor(root) {
      this.root = root;
      this.maxBytes = Number(root.dataset.maxMb) * 1024 * 1024;
      this.batchBytes = Math.min(BATCH_BYTES, 0.9 * this.maxBytes); // the form around the files counts too
      this.reset();
      this.listen();
    }

    part(name) {
      return this.root.querySelector(`[data-${name}]`);
    }

    reset() {
      Object.assign(this, {
        unsorted: [], queue: [], running: new Set(), studies: new Map(), refused: [], failed: [], told: [], total: 0, totalBytes: 0, doneBytes: 0,
        received: 0, known: 0, settled: 0, startedAt: 0, stopped: false, refreshedAt: 0,
      });
      for (const name of ["studies", "refused", "answers"]) this.part(name).replaceChildren();
      this.part("studies-box").hidden = this.part("refused-box").hidden = this.part("answers-box").hidden = true;
    }

    get active() {
      return this.running.size > 0 || (!this.stopped && (Boolean(this.sorting) || this.queue.length + this.unsorted.length > 0));
    }

    // While it is active only what was given up; afterwards also what nobody came to.
    get notSent() {
      if (this.active) return this.failed;
      return [...this.failed, ...this.queue, ...(this.sorting || []).filter((job) => !job.gone), ...this.unsorted];
    }

    listen() {
      const drop = this.part("drop");
      for (const kind of ["files", "folder"]) {
        const input = this.root.querySelector(`[data-input="${kind}"]`);
        this.root.querySelector(`[data-choose="${kind}"]`).addEventListener("click", () => input.click());
        const take = () => {
          if (!input.files.length) return;
          this.add([...input.files]);
          input.value = "";
        };
        input.addEventListener("change", take);
        queueMicrotask(take); // what was chosen while this script was still on its way
      }
      drop.addEventListener("dragover", (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
      drop.addEventListener("dragleave", () => drop.classList.remove("over"));
      drop.addEventListener("drop", async (event) => {
        event.preventDefault();
        drop.classList.remove("over");
        this.add(await window.droppedFiles(event.dataTransfer));
      });
      this.part("stop").addEventListener("click", () => this.stop());
      this.part("retry").addEventListener("click", () => this.retry());
      this.part("close").addEventListener("click", () => {
        this.reset();
        this.part("progress").hidden = true;
        this.root.classList.remove("has-files");
      });
      this.part("download").addEventListener("click", () => window.downloadAnswers(this));
      window.addEventListener("beforeunload", (event) => {
        if (this.active) event.preventDefault();
      });
      window.addEventListener("online", () => {
        if (!this.stopped && this.failed.some((job) => job.lost)) this.retry((job) => job.lost);
      });
    }

    async add(files) {
      files = files.filter((file) => !window.isClutter(file.name));
      if (!files.length) return window.showToast?.("There was no file to send in what you chose.", "warning");
      const done = !this.active && !this.sorting && !this.notSent.length;
      const tooMuch = this.tooMuch(files, done ? 0 : this.total, done ? 0 : this.totalBytes);
      if (tooMuch) return window.showToast?.(tooMuch, "error");
      if (done) this.reset();
      this.stopped = false;
      this.startedAt ||= performance.now();
      this.root.classList.add("has-files");
      this.part("progress").hidden = false;
      for (const file of files) this.take({ file, size: file.size, name: file.webkitRelativePath || file.name, sent: 0, tries: 0, depth: 0 });
      this.show();
      await this.sort();
    }

    take(job) {
      this.total += 1;
      this.totalBytes += job.size;
      this.unsorted.push(job);
    }

    // Together with the files and bytes that this upload holds already.
    tooMuch(files, held, heldBytes) {
      const { maxFiles, maxTotalMb } = this.root.dataset;
      const count = held + files.length;
      const bytes = files.reduce((sum, file) => sum + file.size, heldBytes);
      const others = held ? "With the others of this upload these" : "These";
      const advice = held ? "They were not sent. Send them when this upload is done." : "Nothing was sent. Choose one study at a time.";
      if (count > Number(maxFiles)) return `${others} are ${plural(count, "file")}; at most ${Number(maxFiles).toLocaleString("en-GB")} can be sent at once. ${advice}`;
      if (bytes > Number(maxTotalMb) * 1024 * 1024) return `${others} are ${(bytes / 1e9).toFixed(1)} GB; at most ${(Number(maxTotalMb) / 1024).toFixed(1)} GB can be sent at once. ${advice}`;
      return "";
    }

    // Read the files' heads, so that totals are told per study and nothing is sent that the server has.
    async sort() {
      if (this.sorting) return; // these come behind those that are being sorted
      this.sorting = []; // what is being read now
      try {
        for (let most = SORT_FIRST; this.unsorted.length && !this.stopped; most = SORT_AT_ONCE) await this.sortSome(this.nextToSort(most));
      } finally {
        this.sorting = false;
        this.show();
      }
    }

    async sortSome(jobs) {
      this.sorting = jobs;
      this.show();
      await this.readHeads(jobs);
      const known = await this.ask(jobs);
      this.sorting = [];
      for (const job of jobs) this.sorted(job, known.get(job));
      this.pump();
      while (!this.stopped && jobs.some((job) => job.open) && this.waitingBytes() > UNPACKED_BYTES) await new Promise((done) => setTimeout(done, 50));
    }

    waitingBytes() {
      return this.queue.reduce((sum, job) => sum + (job.open ? job.size : 0), 0);
    }

    nextToSort(most) {
      let bytes = 0;
      const end = this.unsorted.findIndex((job, place) => place >= most || (job.open && (bytes += job.size) > UNPACKED_BYTES && place > 0));
      return this.unsorted.splice(0, end < 0 ? this.unsorted.length : end);
    }

    sorted(job, known) {
      if (job.gone) return;
      if (this.stopped || !job.read) this.fail(job);
      else if (known) this.settle(job, 200, known);
      else if (job.size > this.maxBytes) this.refuse(job, this.tooLarge());
      else this.queue.push(job);
    }

    tooLarge() {
      return `This file is too large: at most ${this.root.dataset.maxMb} MB can be sent in one piece.`;
    }

    async readHeads(jobs) {
      for (let at = 0; at < jobs.length && !this.stopped; at += 16) await Promise.all(jobs.slice(at, at + 16).map((job) => this.readHead(job)));
      for (const job of jobs.filter((one) => one.uid && !one.counted && !one.gone)) {
        job.counted = true;
        this.study(job.uid).total += 1;
      }
    }

    async readHead(job) {
      if (job.open && job.size > this.maxBytes) return this.refuseUnsent(job, this.tooLarge());
      try {
        job.file ??= await job.open();
      } catch {
        return this.refuseUnsent(job, "This file in the ZIP is damaged. Unpack the ZIP, and send the file.");
      }
      Object.assign(job, await window.uidsOf(job.file), { read: true });
      if (job.zip) await this.unpack(job);
    }

    // The files of a ZIP take its place; the server is asked about one that cannot be read here.
    async unpack(zip) {
      let files;
      try {
        files = await window.filesInZip(zip.file, this.root.dataset.unzipUrl);
      } catch {
        if (zip.size > this.maxBytes) this.refuseUnsent(zip, "This ZIP is damaged, incomplete or protected with a password. Unpack it, and drop the folder.");
        return;
      }
      const tooMuch = this.tooMuch(files, this.total - 1, this.totalBytes - zip.size);
      if (zip.depth >= DEEPEST_ZIP) return this.refuseUnsent(zip, `ZIPs lie in ZIPs more than ${DEEPEST_ZIP} deep. Unpack them, and send the files.`);
      if (tooMuch) return this.refuseUnsent(zip, tooMuch);
      zip.gone = true;
      this.total -= 1;
      this.totalBytes -= zip.size;
      for (const { name, size, open } of files) this.take({ name: `${zip.name}/${name}`, size, open, sent: 0, tries: 0, depth: zip.depth + 1 });
    }

    refuseUnsent(job, reason) {
      job.gone = true;
      this.refuse(job, reason);
    }

    // Which images are here already? The same identification is not enough: the bytes must be the same.
    async ask(jobs) {
      const found = new Map();
      const named = jobs.filter((job) => job.sop && !job.gone);
      if (!named.length || this.stopped || !window.crypto?.subtle) return found;
      const known = await window.askKnown(this.root.dataset.knownUrl, named.map((job) => job.sop));
      for (const job of named.filter((one) => known[one.sop])) {
        const { sha256, ...told } = known[job.sop];
        const here = await sha256Of(job.file).catch(() => ""); // it can be read no more: sending it says so
        if (here === sha256) found.set(job, told);
      }
      return found;
    }

    pump() {
      while (!this.stopped && this.running.size < AT_ONCE && this.queue.length) this.send(this.nextBatch());
      this.show();
    }

    // What was refused or lost once goes alone, so that one file never keeps others from arriving.
    nextBatch() {
      const jobs = [this.queue.shift()];
      let bytes = jobs[0].size;
      while (!jobs[0].tries && !jobs[0].zip && this.queue.length && jobs.length < BATCH_FILES && bytes + this.queue[0].size <= this.batchBytes && !this.queue[0].tries && !this.queue[0].zip) {
        bytes += this.queue[0].size;
        jobs.push(this.queue.shift());
      }
      return { jobs, bytes, sent: 0, stopped: false };
    }

    async send(batch) {
      this.running.add(batch);
      const { status, answer } = await this.post(batch);
      if (status === 0 && !batch.stopped) for (const job of batch.jobs) job.unreadable = !(await window.canBeRead(job.file));
      this.running.delete(batch);
      if (!batch.stopped && batch.jobs[0].zip && status === 200) this.unpacked(batch.jobs[0], answer.answers);
      else if (!batch.stopped) batch.jobs.forEach((job, place) => this.settle(job, status, answer?.answers?.[place] || answer));
      this.pump();
      window.refreshCases(this, !this.active);
    }

    post(batch) {
      const url = batch.jobs[0].zip ? this.root.dataset.zipUrl : this.root.dataset.url;
      return window.postFiles(url, batch, (bytes) => {
        batch.sent = Math.min(bytes, batch.bytes);
        this.show();
      });
    }

    settle(job, status, answer) {
      if (job.unreadable) return this.refuse(job, "This file can no longer be read. Choose it again.");
      if (WORTH_REPEATING.has(status)) return this.later(job, status);
      if (status === 401 || status === 403) {
        this.stopped = true;
        this.fail(job);
        this.problem = answer?.message || "You are logged out. Log in again in another tab, then press “Try again” here.";
        return;
      }
      this.settled += 1;
      this.doneBytes += job.size;
      const words = answer?.message || answer?.detail || `The server could not take this file (${status}).`;
      if (status !== 200 || !answer?.case) return this.refuse(job, words, true);
      this.accept(job, answer);
    }

    accept(job, answer) {
      this[answer.outcome] += 1;
      this.ofStudy(job, answer);
      this.answer(job, answer.outcome === "received" ? "received" : "already here");
    }

    // From here on the files in the ZIP are counted, not the ZIP.
    unpacked(zip, answers) {
      this.total += answers.length - 1;
      this.settled += answers.length;
      this.doneBytes += zip.size;
      for (const answer of answers) {
        const job = { name: `${zip.name}/${answer.file_name}`, uid: this.uidOfCase(answer.case) };
        if (answer.case) this.accept(job, answer);
        else this.refuse(job, answer.message, true);
      }
    }

    uidOfCase(found) {
      for (const [uid, study] of this.studies) if (study.case && study.case.public_id === found?.public_id) return uid;
      return "";
    }

    later(job, status) {
      const wait = WAITS_MS[job.tries];
      job.tries += 1;
      if (wait === undefined) {
        job.tries = 0;
        this.fail(job, status === 0);
        this.problem = status === 0 ? "The connection was lost. What arrived is kept." : "The server could not take some files. What arrived is kept.";
        return;
      }
      const waiting = { jobs: [job], bytes: 0, sent: 0, stopped: false };
      this.running.add(waiting);
      setTimeout(() => {
        this.running.delete(waiting);
        if (!waiting.stopped) this.queue.unshift(job);
        this.pump();
      }, wait);
    }

    // What was unpacked is unpacked again when it is tried again.
    fail(job, lost = false) {
      Object.assign(job, { read: false, lost });
      if (job.open) job.file = undefined;
      this.failed.push(job);
    }

    refuse(job, reason, counted = false) {
      if (!counted) {
        this.settled += 1;
        this.doneBytes += job.size;
      }
      this.refused.push({ name: job.name, reason });
      window.showRefused(this, this.refused.at(-1));
      if (job.uid && this.studies.has(job.uid)) this.studies.get(job.uid).refused += 1;
      this.answer(job, "refused", reason);
    }

    answer(job, outcome, reason = "") {
      this.told.push({ name: job.name, outcome, reason });
      if (this.told.length <= MOST_ANSWERS) window.showAnswer(this, this.told.at(-1));
    }

    study(uid) {
      if (!this.studies.has(uid)) this.studies.set(uid, { total: 0, received: 0, known: 0, refused: 0, bytes: 0, began: performance.now() });
      return this.studies.get(uid);
    }

    ofStudy(job, answer) {
      const study = this.study(job.uid || answer.case.public_id);
      if (!job.counted) {
        job.counted = true;
        study.total += 1;
      }
      study[answer.outcome] += 1;
      study.latest = performance.now();
      if (answer.outcome === "received") study.bytes += job.size;
      study.case = answer.case;
    }

    stop() {
      this.stopped = true;
      for (const batch of this.running) {
        batch.stopped = true;
        batch.request?.abort();
        batch.jobs.forEach((job) => this.fail(job));
      }
      for (const job of [...this.queue.splice(0), ...this.unsorted.splice(0)]) this.fail(job);
      this.problem = "You stopped it. What arrived is kept.";
      this.show();
    }

    // What arrived although its answer was lost is found by asking, and not sent again.
    async retry(wanted = () => true) {
      this.unsorted.push(...this.failed.filter(wanted));
      this.failed = this.failed.filter((job) => !wanted(job));
      this.stopped = false;
      if (!this.failed.length) this.problem = "";
      this.startedAt = performance.now() - 1;
      this.pump();
      await this.sort();
    }

    // ---------- What is shown ----------
    show() {
      if (this.drawing) return;
      this.drawing = true;
      requestAnimationFrame(() => {
        this.drawing = false;
        window.drawUpload(this);
      });
    }
  }

  for (const root of document.querySelectorAll("[data-upload]")) new Upload(root);

  // A file dropped beside the area must not replace the page.
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
})();
