// What stands in a cell: a number, a time or a state, as a person reads it.
import type { Paint } from './printer.ts'
import { unknownCell } from './table.ts'

export function countCell(count: number | null | undefined): string {
  return count === null || count === undefined ? unknownCell : String(count)
}

/** How long something took: `0.4 ms`, `12 ms`, `3.5 s`, `2 min`. */
export function tookCell(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return unknownCell
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`
  return inWords(ms)
}

/** How long ago something was, to the second: `now`, `3 s ago`, `5 min ago`, `2 h ago`. */
export function agoCell(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return unknownCell
  return ms < 1000 ? 'now' : `${inWords(ms)} ago`
}

/** A member's, as `alive` or `failed`. */
export function statusCell(status: string, paint: Paint): string {
  const style = statusStyles[status]
  return style === undefined ? status : paint(style, status)
}

const statusStyles: Readonly<Record<string, Parameters<Paint>[0]>> = {
  alive: 'green',
  leaving: 'yellow',
  left: 'gray',
  failed: 'red',
}

/** Whole seconds up to two minutes, whole minutes up to two hours, then hours. */
function inWords(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`
}
