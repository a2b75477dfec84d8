// What a thread executes, seen from another: a profile of a moment, of which the last sample is what counts.

/** As V8's profiler writes it, as far as it is read here. */
interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly children?: readonly number[]
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly positionTicks?: readonly { readonly line: number; readonly ticks: number }[]
  }[]
  readonly samples: readonly number[]
}

/** Of a stack: what called these is the node itself. */
const framesMax = 8

/** Functions with file and line, the innermost first; those of the runtime are left out. */
export function stackOf(profile: string): readonly string[] {
  const { nodes, samples } = JSON.parse(profile) as Profile
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((id) => [id, node] as const)))
  const frames: string[] = []
  let node = nodes.find(({ id }) => id === samples.at(-1))
  for (; node && frames.length < framesMax; node = parents.get(node.id)) {
    const { functionName, url, lineNumber } = node.callFrame
    if (url === '' || url.startsWith('node:')) continue
    // Where most of its samples were; the function itself begins before.
    const busiest = [...(node.positionTicks ?? [])].sort((a, b) => b.ticks - a.ticks)[0]
    frames.push(`${functionName || 'anonymous'} (${fileOf(url)}:${busiest?.line ?? lineNumber + 1})`)
  }
  return frames
}

/** Without the version that the address of a plugin's module has, see plugins/module-addresses.ts. */
function fileOf(url: string): string {
  return url.split('?', 1)[0] as string
}
