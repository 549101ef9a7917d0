// Who one is: one of the ready-made people, or whoever a token says.

import { avatar, complain, h, template } from "./dom.js";
import { people } from "./people.js";

/** Shows the sign-in on the stage; `choose({name, token})` is called for who comes in. */
export async function showSignIn(stage, { reason, choose }) {
  const page = template("sign-in-page");
  const part = (name) => page.querySelector(`[data-part="${name}"]`);
  complain(part("error"), reason);
  part("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    choose({ token: part("token").value.trim() });
  });
  stage.replaceChildren(page);
  const all = await people();
  if (!page.isConnected) return;
  const person = (one) =>
    h("li", {}, h("button", { type: "button", on: { click: () => choose(one) } }, avatar(one.name), h("span", {}, one.name)));
  part("people").replaceChildren(...all.map(person));
  part("people-part").hidden = all.length === 0;
  part("both").hidden = all.length < 2;
  part("both").querySelector(".pair").replaceChildren(...all.slice(0, 2).map((one) => avatar(one.name)));
  part("token-part").open = all.length === 0;
  page.dataset.ready = "";
}
