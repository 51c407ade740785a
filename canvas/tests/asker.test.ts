import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Asker } from "../src/panel/asker";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Questions that are answered when the test says so. */
function questions() {
  const asked: { answer: (text: string) => void; fail: (error: Error) => void; signal: AbortSignal }[] = [];
  const ask = (signal: AbortSignal) =>
    new Promise<string>((answer, fail) => {
      asked.push({ answer, fail, signal });
    });
  return { asked, ask };
}

describe("an asker", () => {
  it("never asks twice at once, and asks again for what came meanwhile, once", async () => {
    const { asked, ask } = questions();
    const tell = vi.fn();
    const asker = new Asker<string>(ask, tell, 300);
    asker.want();
    expect(asked).toHaveLength(1);
    for (let tick = 0; tick < 50; tick += 1) asker.want();
    expect(asked).toHaveLength(1);
    asked[0]?.answer("first");
    await vi.advanceTimersByTimeAsync(299);
    expect(tell).toHaveBeenLastCalledWith("first", "");
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toHaveLength(2);
    asked[1]?.answer("second");
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toHaveLength(2);
    expect(tell).toHaveBeenCalledTimes(2);
  });

  it("answers although something changes all the time", async () => {
    const { asked, ask } = questions();
    const tell = vi.fn();
    const asker = new Asker<string>(ask, tell, 10);
    const storm = setInterval(() => asker.want(), 1);
    asker.want();
    for (let round = 0; round < 5; round += 1) {
      asked.at(-1)?.answer(`${round}`);
      await vi.advanceTimersByTimeAsync(20);
    }
    clearInterval(storm);
    expect(tell.mock.calls.map(([answer]) => answer)).toEqual(["0", "1", "2", "3", "4"]);
  });

  it("tells a failure in words and goes on", async () => {
    const { asked, ask } = questions();
    const tell = vi.fn();
    const asker = new Asker<string>(ask, tell, 10);
    asker.want();
    asked[0]?.fail(new Error("the server does not answer"));
    await vi.advanceTimersByTimeAsync(20);
    expect(tell).toHaveBeenLastCalledWith(null, "the server does not answer");
    asker.want();
    asked[1]?.answer("back");
    await vi.advanceTimersByTimeAsync(0);
    expect(tell).toHaveBeenLastCalledWith("back", "");
  });

  it("tells nothing once it was stopped", async () => {
    const { asked, ask } = questions();
    const tell = vi.fn();
    const asker = new Asker<string>(ask, tell, 10);
    asker.want();
    asker.want();
    asker.stop();
    expect(asked[0]?.signal.aborted).toBe(true);
    asked[0]?.answer("late");
    await vi.advanceTimersByTimeAsync(100);
    expect(tell).not.toHaveBeenCalled();
    expect(asked).toHaveLength(1);
  });
});
