// Sends files, several in a request and a few requests at a time, and shows what became of each.
// A ZIP goes alone; the server unpacks it and answers for every file in it.
(function () {
  "use strict";

  const AT_ONCE = 4;
  const BATCH_FILES = 32;
  const BATCH_BYTES = 8e6;
  const ASK_AT_ONCE = 500;
  const WAITS_MS = [1000, 4000, 10000];
  const REFRESH_MS = 1500;
  const MOST_ANSWERS = 2000;
  const CLUTTER = /^(\.|thumbs\.db$|desktop\.ini$|dicomdir$|__macosx)/i;
  const WORTH_REPEATING = new Set([0, 429, 500, 502, 503, 504]);

  function csrfToken() {
    return document.querySelector('meta[name="csrf-token"]')?.content || "";
  }

  async function sha256Of(file) {
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function plural(number, word) {
    return `${number.toLocaleString("en-GB")} ${word}${number === 1 ? "" : "s"}`;
  }

  // ---------- Files from a drop: folders are walked ----------
  async function filesOf(entry) {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) break;
      for (const one of some) if (!CLUTTER.test(one.name)) found.push(...(await filesOf(one)));
    }
    return found;
  }

  async function droppedFiles(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return [...transfer.files];
    const found = [];
    for (const entry of entries) {
      try {
        found.push(...(await filesOf(entry)));
      } catch {
        window.showToast?.(`“${entry.name}” could not be read. Choose it again.`, "error");
      }
    }
    return found;
  }

  // ---------- One upload area ----------
  class Upload {
    constructor(root) {
      this.root = root;
      this.maxBytes = Number(root.dataset.maxMb) * 1024 * 1024;
      this.reset();
      this.listen();
    }

    part(name) {
      return this.root.querySelector(`[data-${name}]`);
    }

    reset() {
      Object.assign(this, {
        queue: [], running: new Set(), studies: new Map(), refused: [], failed: [], told: [], total: 0, totalBytes: 0, doneBytes: 0,
        received: 0, known: 0, settled: 0, startedAt: 0, stopped: false, refreshedAt: 0, answers: 0,
      });
      for (const name of ["studies", "refused", "answers"]) this.part(name).replaceChildren();
      this.part("studies-box").hidden = this.part("refused-box").hidden = this.part("answers-box").hidden = true;
    }

    get active() {
      return this.running.size > 0 || (this.queue.length > 0 && !this.stopped);
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
        this.add(await droppedFiles(event.dataTransfer));
      });
      this.part("stop").addEventListener("click", () => this.stop());
      this.part("retry").addEventListener("click", () => this.retry());
      this.part("close").addEventListener("click", () => {
        this.reset();
        this.part("progress").hidden = true;
        this.root.classList.remove("has-files");
      });
      this.part("download").addEventListener("click", () => this.download());
      window.addEventListener("beforeunload", (event) => {
        if (this.active) event.preventDefault();
      });
      window.addEventListener("online", () => this.pump());
    }

    async add(files) {
      files = files.filter((file) => !CLUTTER.test(file.name));
      if (!files.length) return window.showToast?.("There was no file to send in what you chose.", "warning");
      const tooMuch = this.tooMuch(files);
      if (tooMuch) return window.showToast?.(tooMuch, "error");
      if (!this.active && !this.failed.length) this.reset();
      this.stopped = false;
      this.startedAt ||= performance.now();
      this.root.classList.add("has-files");
      this.part("progress").hidden = false;
      for (const file of files) {
        const job = { file, name: file.webkitRelativePath || file.name, sent: 0, tries: 0 };
        this.total += 1;
        this.totalBytes += file.size;
        if (file.size > this.maxBytes) this.refuse(job, `This file is too large: at most ${this.root.dataset.maxMb} MB can be sent in one piece. Unpack a ZIP, and drop the folder.`);
        else this.queue.push(job);
      }
      this.show();
      await this.sort();
      this.pump();
    }

    tooMuch(files) {
      const { maxFiles, maxTotalMb } = this.root.dataset;
      const bytes = files.reduce((sum, file) => sum + file.size, 0);
      if (files.length > Number(maxFiles)) return `These are ${plural(files.length, "file")}; at most ${Number(maxFiles).toLocaleString("en-GB")} can be sent at once. Nothing was sent. Choose one study at a time.`;
      if (bytes > Number(maxTotalMb) * 1024 * 1024) return `This is ${(bytes / 1e9).toFixed(1)} GB; at most ${(Number(maxTotalMb) / 1024).toFixed(1)} GB can be sent at once. Nothing was sent. Choose one study at a time.`;
      return "";
    }

    // Read the files' heads, so that totals are told per study and nothing is sent that the server has.
    async sort() {
      const jobs = this.queue.filter((job) => job.uid === undefined);
      const { uidsOf } = window;
      for (let at = 0; at < jobs.length; at += 16) {
        await Promise.all(jobs.slice(at, at + 16).map(async (job) => Object.assign(job, await uidsOf(job.file))));
      }
      for (const job of jobs.filter((one) => one.uid)) {
        job.counted = true;
        this.study(job.uid).total += 1;
      }
      for (let at = 0; at < jobs.length && !this.stopped; at += ASK_AT_ONCE) await this.ask(jobs.slice(at, at + ASK_AT_ONCE));
    }

    // Which images are here already? The same identification is not enough: the bytes must be the same.
    async ask(jobs) {
      const named = jobs.filter((job) => job.sop);
      if (!named.length || !window.crypto?.subtle) return;
      let known;
      try {
        const answer = await fetch(this.root.dataset.knownUrl, {
          method: "POST",
          headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
          body: JSON.stringify({ sop_instance_uids: named.map((job) => job.sop) }),
        });
        if (!answer.ok) return;
        known = (await answer.json()).known;
      } catch {
        return; // then everything is sent, and the server says what it knew
      }
      for (const job of named.filter((one) => known[one.sop])) {
        const { sha256, ...told } = known[job.sop];
        if ((await sha256Of(job.file)) !== sha256) continue;
        this.queue.splice(this.queue.indexOf(job), 1);
        this.settle(job, 200, told);
        this.show();
      }
    }

    pump() {
      while (!this.stopped && this.running.size < AT_ONCE && this.queue.length) this.send(this.nextBatch());
      this.show();
    }

    // What was refused or lost once goes alone, so that one file never keeps others from arriving.
    nextBatch() {
      const jobs = [this.queue.shift()];
      let bytes = jobs[0].file.size;
      while (!jobs[0].tries && !jobs[0].zip && this.queue.length && jobs.length < BATCH_FILES && bytes + this.queue[0].file.size <= BATCH_BYTES && !this.queue[0].tries && !this.queue[0].zip) {
        bytes += this.queue[0].file.size;
        jobs.push(this.queue.shift());
      }
      return { jobs, bytes, sent: 0, stopped: false };
    }

    async send(batch) {
      this.running.add(batch);
      const { status, answer } = await this.post(batch);
      this.running.delete(batch);
      if (!batch.stopped && batch.jobs[0].zip && status === 200) this.unpacked(batch.jobs[0], answer.answers);
      else if (!batch.stopped) batch.jobs.forEach((job, place) => this.settle(job, status, answer?.answers?.[place] || answer));
      this.pump();
      this.refreshList(!this.active);
    }

    post(batch) {
      return new Promise((done) => {
        const request = (batch.request = new XMLHttpRequest());
        request.open("POST", batch.jobs[0].zip ? this.root.dataset.zipUrl : this.root.dataset.url);
        request.responseType = "json";
        request.setRequestHeader("X-CSRFToken", csrfToken());
        request.setRequestHeader("Accept", "application/json");
        request.upload.addEventListener("progress", (event) => {
          batch.sent = Math.min(event.loaded, batch.bytes);
          this.show();
        });
        request.addEventListener("loadend", () => done({ status: request.status, answer: request.response }));
        const form = new FormData();
        for (const job of batch.jobs) form.append("file", job.file, job.file.name);
        request.send(form);
      });
    }

    settle(job, status, answer) {
      if (WORTH_REPEATING.has(status)) return this.later(job, status);
      if (status === 401 || status === 403) {
        this.stopped = true;
        this.failed.push(job);
        this.problem = answer?.message || "You are logged out. Log in again in another tab, then press “Try again” here.";
        return;
      }
      this.settled += 1;
      this.doneBytes += job.file.size;
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
      this.doneBytes += zip.file.size;
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
        this.failed.push(job);
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

    refuse(job, reason, counted = false) {
      if (!counted) {
        this.settled += 1;
        this.doneBytes += job.file.size;
      }
      this.refused.push({ name: job.name, reason });
      const row = element("tr");
      row.append(element("td", "refused-name", job.name), element("td", "", reason));
      this.part("refused").append(row);
      this.part("refused-box").hidden = false;
      this.part("refused-count").textContent = this.refused.length;
      if (job.uid && this.studies.has(job.uid)) this.studies.get(job.uid).refused += 1;
      this.answer(job, "refused", reason);
    }

    answer(job, outcome, reason = "") {
      this.told.push({ name: job.name, outcome, reason });
      this.answers += 1;
      if (this.answers > MOST_ANSWERS) return;
      const line = element("li");
      line.append(element("span", "answer-name", job.name), " ", element("span", "note", reason || outcome));
      this.part("answers").append(line);
      this.part("answers-box").hidden = false;
    }

    study(uid) {
      if (!this.studies.has(uid)) this.studies.set(uid, { total: 0, received: 0, known: 0, refused: 0 });
      return this.studies.get(uid);
    }

    ofStudy(job, answer) {
      const study = this.study(job.uid || answer.case.public_id);
      if (!job.counted) {
        job.counted = true;
        study.total += 1;
      }
      study[answer.outcome] += 1;
      study.case = answer.case;
    }

    stop() {
      this.stopped = true;
      for (const batch of this.running) {
        batch.stopped = true;
        batch.request?.abort();
        this.failed.push(...batch.jobs);
      }
      this.failed.push(...this.queue.splice(0));
      this.problem = "You stopped it. What arrived is kept.";
      this.show();
    }

    retry() {
      this.stopped = false;
      this.problem = "";
      this.queue.push(...this.failed.splice(0));
      this.startedAt = performance.now() - 1;
      this.pump();
    }

    // ---------- What is shown ----------
    show() {
      if (this.drawing) return;
      this.drawing = true;
      requestAnimationFrame(() => {
        this.drawing = false;
        this.draw();
      });
    }

    draw() {
      const sending = [...this.running].reduce((sum, batch) => sum + batch.sent, 0);
      const bytes = this.doneBytes + sending;
      const bar = this.part("bar");
      bar.max = Math.max(this.totalBytes, 1);
      bar.value = bytes;
      bar.classList.toggle("done", !this.active && !this.failed.length);
      bar.classList.toggle("failed", !this.active && this.failed.length > 0);
      this.part("headline").textContent = this.headline();
      if (this.active) {
        const seconds = (performance.now() - this.startedAt) / 1000;
        this.part("speed").textContent = seconds > 0.5 ? `${(bytes / 1e6 / seconds).toFixed(1)} MB/s` : "";
      }
      this.part("counts").textContent = [
        `${this.received} received`, this.known && `${this.known} already here`, this.refused.length && `${this.refused.length} not taken`,
        this.failed.length && `${this.failed.length} not sent`,
      ].filter(Boolean).join(" · ");
      this.part("stop").hidden = !this.active;
      this.part("retry").hidden = this.active || !this.failed.length;
      this.part("close").hidden = this.active;
      this.part("download").hidden = this.active || !this.total;
      this.drawStudies();
    }

    headline() {
      const zip = [...this.running].find((batch) => batch.jobs[0].zip && batch.bytes && batch.sent >= batch.bytes);
      if (zip) return `Taking in the files of ${zip.jobs[0].name}`;
      if (this.active) return `Sending ${this.settled.toLocaleString("en-GB")} of ${plural(this.total, "file")}`;
      if (this.failed.length) return `${this.problem} ${plural(this.failed.length, "file")} not sent.`;
      if (!this.received && !this.known) return "Nothing was taken";
      return this.received ? `${plural(this.received, "image")} received` : "All of these were already here";
    }

    drawStudies() {
      const shown = [...this.studies].filter(([, study]) => study.case);
      const box = this.part("studies-box");
      box.hidden = !shown.length;
      for (const [key, study] of shown) {
        study.row ??= this.studyRow(key, study);
        const done = study.received + study.known;
        study.bar.max = Math.max(study.total, 1);
        study.bar.value = done;
        study.bar.classList.toggle("done", done + study.refused >= study.total);
        study.words.textContent = [
          `${done} of ${plural(study.total, "image")}`, study.known && `${study.known} already here`, study.refused && `${study.refused} not taken`,
        ].filter(Boolean).join(" · ");
      }
    }

    studyRow(key, study) {
      const row = element("tr");
      const patient = element("td");
      const name = element("span", "name", study.case.patient);
      name.dir = "auto";
      patient.append(name);
      const description = element("td", "", study.case.study);
      description.dir = "auto";
      const received = element("td");
      study.bar = element("progress");
      study.bar.setAttribute("aria-label", `Images of ${study.case.patient}`);
      study.words = element("span", "note");
      received.append(study.bar, study.words);
      const actions = element("td", "actions");
      const open = element("a", "btn btn-secondary btn-sm", "Open");
      open.href = study.case.url;
      actions.append(open);
      row.append(patient, description, received, actions);
      this.part("studies").append(row);
      return row;
    }

    refreshList(now) {
      const list = document.getElementById("cases");
      if (!list || (!now && performance.now() - this.refreshedAt < REFRESH_MS)) return;
      this.refreshedAt = performance.now();
      window.htmx?.trigger(list, "refresh");
    }

    download() {
      // A leading apostrophe keeps spreadsheets from running a file name as a formula.
      const cell = (text) => `"${(/^[=+\-@\t]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
      const lost = this.failed.map((job) => ({ name: job.name, outcome: "not sent", reason: this.problem }));
      const lines = [["File", "Outcome", "Reason"], ...[...this.told, ...lost].map((one) => [one.name, one.outcome, one.reason])];
      const blob = new Blob(["\ufeff", lines.map((line) => line.map(cell).join(",")).join("\r\n"), "\r\n"], { type: "text/csv" });
      const link = element("a");
      link.href = URL.createObjectURL(blob);
      link.download = "upload-summary.csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  }

  for (const root of document.querySelectorAll("[data-upload]")) new Upload(root);

  // A file dropped beside the area must not replace the page.
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
})();
