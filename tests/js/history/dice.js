// Dice: throws that a seed decides, so that a schedule can be played again.

const MASK = (1n << 64n) - 1n;

/** SplitMix64; each actor of a run throws its own. */
export class Dice {
  #state;

  constructor(seed, actor) {
    this.#state = (BigInt(seed) ^ (BigInt(actor) * 0xd1b54a32d192ed03n)) & MASK;
    this.#throw();
  }

  #throw() {
    this.#state = (this.#state + 0x9e3779b97f4a7c15n) & MASK;
    let mixed = this.#state;
    mixed = ((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    mixed = ((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn) & MASK;
    return mixed ^ (mixed >> 31n);
  }

  /** A number from 0 up to, not including, `end`. */
  below(end) {
    return Number(this.#throw() % BigInt(Math.max(Math.floor(end), 1)));
  }

  /** A number between two, both included. */
  between(least, most) {
    return least + this.below(most - least + 1);
  }

  /** True so many times in a hundred. */
  chance(percent) {
    return this.below(100) < percent;
  }

  /** One of a list. */
  pick(list) {
    return list[this.below(list.length)];
  }
}
