/** Something that listeners are told of when it changed. */

export type Listener = () => void;

export class Topic {
  private readonly listeners = new Set<Listener>();
  readonly subscribe = (listener: Listener): Listener => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  get heard(): boolean {
    return this.listeners.size > 0;
  }
  tell(): void {
    for (const listener of [...this.listeners]) listener();
  }
}
