import { describe, expect, it } from "vitest";
import { Arranger, CARD, type Member } from "../src/layout";
import { type Point, pathOf, route } from "../src/route";

function members(count: number, role = ""): Member[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${role}${index}`,
    parentId: null,
    name: `${index}`,
    role,
  }));
}

/** Whether the straight piece from one to the other runs through the inside of a card. */
function crosses(one: Point, other: Point, card: Point): boolean {
  const [left, right] = [Math.min(one.x, other.x), Math.max(one.x, other.x)];
  const [top, bottom] = [Math.min(one.y, other.y), Math.max(one.y, other.y)];
  return right > card.x && left < card.x + CARD.width && bottom > card.y && top < card.y + CARD.height;
}

describe("the way of an edge", () => {
  it("runs behind no card of its team, whoever asks whom", () => {
    const layout = new Arranger().arrange(members(20));
    const spots = [...layout.places];
    for (const [from, a] of spots) {
      for (const [to, b] of spots) {
        if (from === to) continue;
        const { points } = route(a, b, `${from}>${to}`);
        for (const [index, point] of points.slice(1).entries()) {
          const before = points[index] as Point;
          expect(before.x === point.x || before.y === point.y).toBe(true);
          for (const [id, card] of spots)
            expect(crosses(before, point, card), `${from}>${to} runs behind ${id}`).toBe(false);
        }
      }
    }
  });

  it("begins at one card and ends at the other, also in another team", () => {
    const layout = new Arranger().arrange([...members(5, "x"), ...members(5, "y"), ...members(5, "z")]);
    for (const [from, a] of layout.places) {
      for (const [to, b] of layout.places) {
        if (from === to) continue;
        const { points, middle } = route(a, b, `${from}>${to}`);
        for (const [point, card] of [
          [points[0], a],
          [points.at(-1), b],
        ] as const) {
          const inX = point && point.x >= card.x && point.x <= card.x + CARD.width;
          const inY = point && point.y >= card.y && point.y <= card.y + CARD.height;
          const onEdge =
            point &&
            ([card.x, card.x + CARD.width].includes(point.x) ||
              [card.y, card.y + CARD.height].includes(point.y));
          expect(inX && inY && onEdge, `${from}>${to}`).toBe(true);
        }
        const gutter = [...layout.places.values()].every((card) => !crosses(middle, middle, card));
        expect(gutter, `the words of ${from}>${to} stand on a card`).toBe(true);
        expect(pathOf(points)).toMatch(/^M[-\d.]+ [-\d.]+(L[-\d.]+ [-\d.]+(Q[-\d. ]+)?)+$/);
      }
    }
  });

  it("there and back are two ways, each always the same", () => {
    const layout = new Arranger().arrange(members(2));
    const [a, b] = [...layout.places.values()];
    if (!a || !b) throw new Error("two places");
    expect(route(a, b, "0>1")).toEqual(route(a, b, "0>1"));
    expect(pathOf(route(a, b, "0>1").points)).not.toBe(pathOf(route(b, a, "1>0").points));
    expect(pathOf([])).toBe("");
  });
});
