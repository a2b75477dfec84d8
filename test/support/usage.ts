// What a process has taken of the machine, as Linux counts it.
import { readdir, readFile } from 'node:fs/promises'

export interface Usage {
  /** User and system time of all its threads since it began. */
  readonly cpuMs: number
  readonly residentBytes: number
}

/** Times in proc_pid_stat(5) are in hundredths of a second, whatever the kernel's own clock. */
const msPerTick = 10

export async function usageOf(pid: number): Promise<Usage> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // After the program's name, which is in parentheses and may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return {
    cpuMs: (Number(fields[11]) + Number(fields[12])) * msPerTick,
    residentBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024,
  }
}

/** User and system time of all its threads but the first one, since they began. */
export async function othersCpuMs(pid: number): Promise<number> {
  const threads = (await readdir(`/proc/${pid}/task`)).filter((thread) => thread !== String(pid))
  // Nanoseconds on a core, then two numbers more.
  const times = threads.map(async (thread) => {
    const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0')
    return Number(text.split(' ')[0]) / 1e6
  })
  return (await Promise.all(times)).reduce((sum, ms) => sum + ms, 0)
}
