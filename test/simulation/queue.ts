// What is to happen, by time; what is to happen at one time, in the order in which it was added.

/** Something that is to happen. */
export interface Appointment {
  cancel(): void
}

export interface Due {
  readonly at: number
  readonly act: () => void
}

class Entry implements Appointment, Due {
  readonly at: number
  readonly order: number
  readonly act: () => void
  isOff = false

  constructor(at: number, order: number, act: () => void) {
    this.at = at
    this.order = order
    this.act = act
  }

  cancel(): void {
    this.isOff = true
  }
}

/** A binary heap. */
export class Queue {
  readonly #heap: Entry[] = []
  #order = 0

  add(at: number, act: () => void): Appointment {
    const entry = new Entry(at, this.#order++, act)
    this.#add(entry)
    return entry
  }

  /** The next one, unless it is after `until`. */
  takeBefore(until = Number.POSITIVE_INFINITY): Due | undefined {
    for (let first = this.#heap[0]; first && first.at <= until; first = this.#heap[0]) {
      this.#take()
      if (!first.isOff) return first
    }
    return undefined
  }

  #add(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    for (
      let parent = (at - 1) >> 1;
      at > 0 && isBefore(entry, heap[parent] as Entry);
      parent = (at - 1) >> 1
    ) {
      heap[at] = heap[parent] as Entry
      at = parent
    }
    heap[at] = entry
  }

  #take(): Entry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last && heap.length > 0) this.#sink(last)
    return first
  }

  /** Puts `entry` where the first one was, and then where it belongs. */
  #sink(entry: Entry): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= heap.length) break
      const right = left + 1
      const least = right < heap.length && isBefore(heap[right] as Entry, heap[left] as Entry) ? right : left
      if (!isBefore(heap[least] as Entry, entry)) break
      heap[at] = heap[least] as Entry
      at = least
    }
    heap[at] = entry
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
