// What the server is asked and what it is sent.
(function () {
  "use strict";

  function csrfToken() {
    return document.querySelector('meta[name="csrf-token"]')?.content || "";
  }

  // {SOP Instance UID: what is here of it}; nothing without an answer: then everything is sent, and
  // the server says what it knew.
  window.askKnown = async function (url, uids) {
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
        body: JSON.stringify({ sop_instance_uids: uids }),
      });
      return answer.ok ? (await answer.json()).known : {};
    } catch {
      return {};
    }
  };

  // {status, answer}; the status is 0 when there was no answer. `sending` hears how many bytes are away.
  window.postFiles = function (url, batch, sending) {
    return new Promise((done) => {
      const request = (batch.request = new XMLHttpRequest());
      request.open("POST", url);
      request.responseType = "json";
      request.setRequestHeader("X-CSRFToken", csrfToken());
      request.setRequestHeader("Accept", "application/json");
      request.upload.addEventListener("progress", (event) => sending(event.loaded));
      request.addEventListener("loadend", () => done({ status: request.status, answer: request.response }));
      const form = new FormData();
      for (const job of batch.jobs) form.append("file", job.file, job.name.split("/").pop());
      request.send(form);
    });
  };

  // A file that was moved or changed after it was chosen fails to send just as a lost connection does.
  window.canBeRead = async function (file) {
    try {
      await file.slice(0, 1).arrayBuffer();
      return true;
    } catch {
      return false;
    }
  };
})();
