/* Runs only in browsers without modules. */
var notice = document.getElementById("notice");
function say() {
  notice = document.getElementById("notice");
  notice.hidden = false;
  notice.textContent = "This browser is too old to run the model. Please use a current Chrome, Edge, Firefox or Safari.";
  document.getElementById("status").textContent = "Not running.";
}
if (notice) say();
else document.addEventListener("DOMContentLoaded", say);
