import { describe, expect, it } from "vitest";
import {
  Arranger,
  BLOCK_LIMIT,
  CARD,
  KEPT,
  type Layout,
  LONE,
  type Member,
  meets,
  neighbour,
  visible,
} from "../src/layout";

function member(id: string, parentId: string | null = null, role = ""): Member {
  return { id, parentId, name: id, role };
}

function many(count: number): Member[] {
  return Array.from({ length: count }, (_, index) => member(`m${index}`));
}

/** Who stands where within their block; blocks may move when another grows. */
function within(layout: Layout): Map<string, string> {
  const blocks = new Map(layout.blocks.map((block) => [block.id, block]));
  return new Map(
    [...layout.places].map(([id, spot]) => {
      const block = blocks.get(spot.block);
      return [id, `${spot.block} ${spot.x - (block?.x ?? 0)},${spot.y - (block?.y ?? 0)}`];
    }),
  );
}

describe("places", () => {
  it("stay when somebody leaves, and when somebody comes within the block's room", () => {
    const arranger = new Arranger();
    const all = many(6);
    const before = within(arranger.arrange(all));
    const left = within(arranger.arrange(all.filter((one) => one.id !== "m2")));
    for (const [id, place] of left) expect(place).toBe(before.get(id));
    expect(left.has("m2")).toBe(false);
    const more = within(arranger.arrange([...all.filter((one) => one.id !== "m2"), member("new")]));
    for (const [id, place] of left) expect(more.get(id)).toBe(place);
    expect(new Set(more.values()).size).toBe(6);
  });

  it("are not given away again: who comes back stands where they stood", () => {
    const arranger = new Arranger();
    const all = many(5);
    const before = within(arranger.arrange(all));
    arranger.arrange(all.slice(1));
    expect(within(arranger.arrange([...all.slice(1), member("m0")])).get("m0")).toBe(before.get("m0"));
  });

  it("are given away when their owner left long ago, and nobody else moves", () => {
    let now = 0;
    const arranger = new Arranger(() => now);
    const all = many(6);
    const before = within(arranger.arrange(all));
    const rest = all.filter((one) => one.id !== "m2");
    arranger.arrange(rest);
    now += KEPT - 1;
    const soon = within(arranger.arrange([...rest, member("soon")]));
    expect(soon.get("soon")).not.toBe(before.get("m2"));
    now += 1;
    const late = within(arranger.arrange([...rest, member("soon"), member("late")]));
    expect(late.get("late")).toBe(before.get("m2"));
    for (const [id, place] of soon) expect(late.get(id)).toBe(place);
    // who comes back after that gets a new one
    const back = within(arranger.arrange([...rest, member("soon"), member("late"), member("m2")]));
    expect(new Set(back.values()).size).toBe(8);
  });

  it("do not grow without end while many come and go", () => {
    let now = 0;
    const arranger = new Arranger(() => now);
    const stay = many(4);
    arranger.arrange(stay);
    for (let number = 0; number < 240; number += 1) {
      now += 10_000;
      arranger.arrange([...stay, member(`brief${number}`)]);
    }
    expect(arranger.arrange(stay).blocks).toHaveLength(1);
    now += KEPT;
    const layout = arranger.arrange(stay);
    const fresh = new Arranger().arrange(stay);
    expect(layout.blocks[0]?.height).toBe(fresh.blocks[0]?.height);
    expect(layout.blocks[0]?.width).toBe(fresh.blocks[0]?.width);
    // many at once, that stand before those who stay
    const crowd = many(60).map((one) => member(`c${one.id}`));
    const last = [member("z1"), member("z2")];
    arranger.arrange([...stay, ...crowd, ...last]);
    arranger.arrange([...stay, ...last]);
    now += KEPT;
    const after = arranger.arrange([...stay, ...last]);
    expect(after.places.size).toBe(6);
    expect(after.blocks[0]?.height).toBeLessThan(4 * CARD.height);
  });

  it("do not overlap, and lie within their block", () => {
    const members = [...many(130), member("boss"), ...many(9).map((one) => member(`k${one.id}`, "boss"))];
    const layout = new Arranger().arrange(members);
    expect(layout.places.size).toBe(members.length);
    const spots = [...layout.places.values()].map((spot) => ({ ...spot, ...CARD }));
    spots.forEach((one, index) => {
      for (const other of spots.slice(index + 1)) expect(meets(one, other)).toBe(false);
      const block = layout.blocks.find((found) => found.id === one.block);
      expect(block).toBeDefined();
      if (!block) return;
      expect(one.x).toBeGreaterThanOrEqual(block.x);
      expect(one.y).toBeGreaterThanOrEqual(block.y);
      expect(one.x + CARD.width).toBeLessThanOrEqual(block.x + block.width);
      expect(one.y + CARD.height).toBeLessThanOrEqual(block.y + block.height);
    });
    layout.blocks.forEach((one, index) => {
      for (const other of layout.blocks.slice(index + 1)) expect(meets(one, other)).toBe(false);
    });
  });
});

describe("teams", () => {
  it("are hierarchies, and roles for the lone", () => {
    const layout = new Arranger().arrange([
      member("boss"),
      member("kid", "boss"),
      member("grandkid", "kid"),
      member("writer", null, "writer"),
      member("alone"),
    ]);
    const team = layout.blocks.find((block) => block.name === "boss");
    expect(team?.members).toEqual(["boss", "kid", "grandkid"]);
    expect(layout.places.get("grandkid")?.depth).toBe(2);
    expect(layout.blocks.map((block) => block.name).sort()).toEqual([LONE, "boss", "writer"]);
  });

  it("survive a cycle and a parent that is gone", () => {
    const layout = new Arranger().arrange([
      member("a", "b"),
      member("b", "a"),
      member("c", "gone"),
      member("d", "d"),
    ]);
    expect(layout.places.size).toBe(4);
  });

  it("of more than a hundred are several blocks", () => {
    const layout = new Arranger().arrange(many(250));
    expect(layout.blocks.map((block) => block.members.length)).toEqual([BLOCK_LIMIT, BLOCK_LIMIT, 50]);
    expect(layout.blocks.map((block) => block.name)).toEqual([`${LONE} 1`, `${LONE} 2`, `${LONE} 3`]);
  });

  it("of five thousand are arranged within a frame or two", () => {
    const members = many(5000);
    const arranger = new Arranger();
    arranger.arrange(members);
    const before = performance.now();
    arranger.arrange(members);
    expect(performance.now() - before).toBeLessThan(500);
  });
});

describe("what is drawn", () => {
  const layout = new Arranger().arrange(many(250));

  it("is tiles only when far away", () => {
    const everything = { x: -1e6, y: -1e6, width: 2e6, height: 2e6 };
    expect(visible(layout, everything, false)).toEqual({ blocks: layout.blocks, members: [] });
    expect(visible(layout, everything, true).members).toHaveLength(250);
  });

  it("is what meets the window when near", () => {
    const spot = layout.places.get("m0");
    const shown = visible(layout, { x: spot?.x ?? 0, y: spot?.y ?? 0, width: 10, height: 10 }, true);
    expect(shown.members).toEqual(["m0"]);
    expect(shown.blocks).toHaveLength(1);
  });
});

describe("the arrows", () => {
  const layout = new Arranger().arrange([member("boss"), ...many(6).map((one) => member(one.id, "boss"))]);
  const parentOf = (id: string) => (id === "boss" ? null : "boss");

  it("go up to the parent and down to the first child", () => {
    expect(neighbour(layout, "m4", "up", parentOf)).toBe("boss");
    expect(neighbour(layout, "boss", "down", parentOf)).toBe("m0");
  });

  it("go left and right to the nearest, and stop at the edge", () => {
    const right = neighbour(layout, "boss", "right", parentOf);
    expect(right).not.toBeNull();
    expect(neighbour(layout, right ?? "", "left", parentOf)).toBe("boss");
    expect(neighbour(layout, "boss", "left", parentOf)).toBeNull();
  });

  it("reach everybody", () => {
    const flat = new Arranger().arrange(many(37));
    const seen = new Set(["m0"]);
    const waiting = ["m0"];
    for (let id = waiting.pop(); id; id = waiting.pop()) {
      for (const direction of ["left", "right", "up", "down"] as const) {
        const next = neighbour(flat, id, direction, () => null);
        if (next && !seen.has(next)) {
          seen.add(next);
          waiting.push(next);
        }
      }
    }
    expect(seen.size).toBe(37);
  });

  it("begin somewhere when nobody has the focus", () => {
    expect(neighbour(layout, "nobody", "left", parentOf)).toBe("boss");
    expect(neighbour(new Arranger().arrange([]), "nobody", "left", parentOf)).toBeNull();
  });
});
