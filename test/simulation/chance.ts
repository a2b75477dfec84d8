// Chance that can be had again: everything that a seed decides comes from here.
import type { Random } from '../../src/base/random.ts'

/** mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const hex = (bytes: number) => {
    let digits = ''
    for (let i = 0; i < bytes * 2; i++) digits += '0123456789abcdef'[Math.floor(fraction() * 16)]
    return digits
  }
  const uuid = () => `${hex(4)}-${hex(2)}-4${hex(2).slice(1)}-a${hex(2).slice(1)}-${hex(6)}`
  return { fraction, hex, uuid }
}

/** Chance for one purpose: what is drawn for it changes nothing that is drawn for another. */
export function chanceFor(seed: number, purpose: string): Random {
  let hash = 0x811c9dc5 ^ seed
  for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193)
  return seededRandom(hash ^ (hash >>> 15))
}

/** From 0 up to, not including, `below`. */
export function whole(random: Random, below: number): number {
  return Math.floor(random.fraction() * below)
}

export function between(random: Random, least: number, most: number): number {
  return least + (most - least) * random.fraction()
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[whole(random, from.length)] as T
}
