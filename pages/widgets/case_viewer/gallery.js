// Many cases, small: a click or Enter on one opens it.

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".room-gallery");
  const { header, body } = unpackCase(data);
  root.replaceChildren(...header.cases.map((each) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `${each.case}, ${each.truth}, ${each.told}`);
    const canvas = document.createElement("canvas");
    fit(canvas, imageRaster(each.image, body), 144, 144, each.image.display.is_smooth);
    const name = document.createElement("b");
    name.textContent = each.truth;
    const marks = document.createElement("span");
    marks.textContent = each.told;
    const id = document.createElement("small");
    id.textContent = each.case;
    button.append(canvas, name, marks, id);
    button.addEventListener("click", () => setTriggerValue("open", each.case));
    return button;
  }));
  return () => root.replaceChildren();
}
