// What a process holds, as Linux counts it and as the node itself says.
import { readdir, readFile, readlink } from 'node:fs/promises'
import type { NodeProcess } from '../support/node-process.ts'

export interface Usage {
  readonly residentMb: number
  /** Heaps of all threads, garbage included. */
  readonly heapMb: number
  readonly handles: number
  readonly sockets: number
  readonly threads: number
}

export async function usageOf(node: NodeProcess): Promise<Usage> {
  const status = await readFile(`/proc/${node.pid}/status`, 'utf8')
  const fds = await readdir(`/proc/${node.pid}/fd`)
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${node.pid}/fd/${fd}`).catch(() => '')))
  const metrics = (await node.ask('GET', '/metrics')).text
  const heaps = [...metrics.matchAll(/^troop_heap_used_bytes\{[^}]*\} (\S+)$/gm)]
  return {
    residentMb: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024,
    heapMb: heaps.reduce((total, [, bytes]) => total + Number(bytes), 0) / 2 ** 20,
    handles: fds.length,
    sockets: links.filter((link) => link.startsWith('socket:')).length,
    threads: Number(/^Threads:\s+(\d+)$/m.exec(status)?.[1]),
  }
}
