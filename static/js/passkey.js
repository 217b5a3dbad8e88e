// A passkey that does not answer: in words, instead of only in the browser's console.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const quiet = event.detail.exception?.name === "NotAllowedError";
  window.showToast(
    quiet
      ? "The passkey was not used. Nothing was changed. Try again, or take another way in."
      : "This browser or device could not use a passkey here. Nothing was changed. Take the app or a recovery code.",
    "warning",
  );
});
