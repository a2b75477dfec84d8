// What benchmarks do with their measurements.

/** Columns as wide as their widest cell, numbers to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) => row.map((cell, i) => cell.padStart(widths[i] ?? 0)).join('  ')
  return rows.map(line).join('\n')
}

/** The same for docs/: a table in Markdown. */
export function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n')
}

/** The middle one of an odd number of measurements, the lower middle of an even number. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The smallest of the measurements that `share` of them do not exceed: of fewer than 100, 0.99 asks for the largest. */
export function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? Number.NaN
}

/** Milliseconds with as many digits as are worth reading. */
export function inMs(value: number): string {
  return value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)
}

/** Two cells: median and 99th percentile, in milliseconds. */
export function p50p99(values: readonly number[]): readonly [string, string] {
  return [inMs(median(values)), inMs(quantile(values, 0.99))]
}
