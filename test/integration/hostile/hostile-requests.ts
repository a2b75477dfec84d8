// All of them, in the order of docs/hostile-requests.md.
import { bounds, pipelines } from './bounds.ts'
import { chunks } from './chunks.ts'
import { codings, lengths, smuggling } from './framing.ts'
import { fields, hosts } from './heads.ts'
import type { HostileClass } from './hostile-request.ts'
import { claims, hops, methods, switches, targets, versions } from './targets.ts'

export const hostileRequests: readonly HostileClass[] = [
  ...[lengths, codings, smuggling, chunks, fields, hosts, targets, methods, versions],
  ...[claims, hops, switches, bounds, pipelines],
]
