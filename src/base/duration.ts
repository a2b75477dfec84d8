// Durations as settings and options write them: a number with its unit.

const msPerUnit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** Milliseconds of `250ms`, `1s`, `2m` or `1.5h`; undefined when `text` is none of these. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)$/.exec(text.trim())
  return match ? Number(match[1]) * msPerUnit[match[2] as keyof typeof msPerUnit] : undefined
}

/** In the largest unit that takes no fraction: 1500 is `1500ms`, 60000 is `1m`. */
export function formatDuration(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    if (ms > 0 && ms % msPerUnit[unit] === 0) return `${ms / msPerUnit[unit]}${unit}`
  }
  return `${ms}ms`
}
