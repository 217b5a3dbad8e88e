// How an upload shows: progress, studies, and the list of answers to keep.
(function () {
  "use strict";

  const REFRESH_MS = 1500;

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function plural(number, word) {
    return `${number.toLocaleString("en-GB")} ${word}${number === 1 ? "" : "s"}`;
  }

  window.plural = plural;

  window.drawUpload = function (upload) {
    const sending = [...upload.running].reduce((sum, batch) => sum + batch.sent, 0);
    const bytes = upload.doneBytes + sending;
    const { notSent } = upload;
    const bar = upload.part("bar");
    bar.max = Math.max(upload.totalBytes, 1);
    bar.value = bytes;
    bar.classList.toggle("done", !upload.active && !notSent.length);
    bar.classList.toggle("failed", !upload.active && notSent.length > 0);
    upload.part("headline").textContent = headline(upload);
    if (upload.active) {
      const seconds = (performance.now() - upload.startedAt) / 1000;
      upload.part("speed").textContent = seconds > 0.5 ? `${(bytes / 1e6 / seconds).toFixed(1)} MB/s` : "";
    }
    upload.part("counts").textContent = [
      `${upload.received} received`, upload.known && `${upload.known} already here`, upload.refused.length && `${upload.refused.length} not taken`,
      notSent.length && `${notSent.length} not sent`,
    ].filter(Boolean).join(" · ");
    upload.part("stop").hidden = !upload.active;
    upload.part("retry").hidden = upload.active || Boolean(upload.sorting) || !notSent.length;
    upload.part("close").hidden = upload.active || Boolean(upload.sorting);
    upload.part("download").hidden = upload.active || !upload.total;
    drawStudies(upload);
  };

  function headline(upload) {
    const zip = [...upload.running].find((batch) => batch.jobs[0].zip && batch.bytes && batch.sent >= batch.bytes);
    if (zip) return `Taking in the files of ${zip.jobs[0].name}`;
    if (upload.sorting && upload.active && !upload.running.size && !upload.received && !upload.known) return "Reading the files";
    if (upload.active) return `Sending ${upload.settled.toLocaleString("en-GB")} of ${plural(upload.total, "file")}`;
    if (upload.notSent.length) return `${upload.problem} ${plural(upload.notSent.length, "file")} not sent.`;
    if (!upload.received && !upload.known) return "Nothing was taken";
    return upload.received ? `${plural(upload.received, "image")} received` : "All of these were already here";
  }

  function drawStudies(upload) {
    const shown = [...upload.studies.values()].filter((study) => study.case);
    const box = upload.part("studies-box");
    box.hidden = !shown.length;
    for (const study of shown) {
      if (!study.row) upload.part("studies").append((study.row = studyRow(study)));
      const done = study.received + study.known;
      study.bar.max = Math.max(study.total, 1);
      study.bar.value = done;
      study.bar.classList.toggle("done", done + study.refused >= study.total);
      const speed = study.bytes / 1e3 / (study.latest - study.began);
      study.words.textContent = [
        `${done} of ${plural(study.total, "image")}`, study.known && `${study.known} already here`, study.refused && `${study.refused} not taken`,
        study.received > 0 && `${speed.toFixed(1)} MB/s`,
      ].filter(Boolean).join(" · ");
    }
  }

  function studyRow(study) {
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
    return row;
  }

  window.showRefused = function (upload, { name, reason }) {
    const row = element("tr");
    row.append(element("td", "refused-name", name), element("td", "", reason));
    upload.part("refused").append(row);
    upload.part("refused-box").hidden = false;
    upload.part("refused-count").textContent = upload.refused.length;
  };

  window.showAnswer = function (upload, { name, outcome, reason }) {
    const line = element("li");
    line.append(element("span", "answer-name", name), " ", element("span", "note", reason || outcome));
    upload.part("answers").append(line);
    upload.part("answers-box").hidden = false;
  };

  window.refreshCases = function (upload, now) {
    const list = document.getElementById("cases");
    if (!list || (!now && performance.now() - upload.refreshedAt < REFRESH_MS)) return;
    upload.refreshedAt = performance.now();
    window.htmx?.trigger(list, "refresh");
  };

  window.downloadAnswers = function (upload) {
    // A leading apostrophe keeps spreadsheets from running a file name as a formula.
    const cell = (text) => `"${(/^[=+\-@\t]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
    const lost = upload.notSent.map((job) => ({ name: job.name, outcome: "not sent", reason: upload.problem }));
    const lines = [["File", "Outcome", "Reason"], ...[...upload.told, ...lost].map((one) => [one.name, one.outcome, one.reason])];
    const blob = new Blob(["\ufeff", lines.map((line) => line.map(cell).join(",")).join("\r\n"), "\r\n"], { type: "text/csv" });
    const link = element("a");
    link.href = URL.createObjectURL(blob);
    link.download = "upload-summary.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
})();
