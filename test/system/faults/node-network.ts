// Nodes that live in network namespaces of their own, with a bridge between them where packets can be dropped: real
// silence, as between machines. Everything vanishes with this process, however it ends: what holds a namespace is a
// process that reads our end of a pipe.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { systemRandom } from '../../../src/base/random.ts'

const run = promisify(execFile)

export class NodeNetwork {
  /** Where nodes reach this process. */
  readonly here: string
  readonly #net: string
  readonly #holders: ChildProcess[]

  private constructor(net: string, holders: ChildProcess[]) {
    this.#net = net
    this.here = `${net}.254`
    this.#holders = holders
  }

  /** Namespaces for so many nodes. */
  static async make(nodes: number): Promise<NodeNetwork> {
    const net = `10.77.${Math.floor(systemRandom.fraction() * 256)}`
    const holders = await Promise.all(Array.from({ length: nodes + 1 }, holdNamespace))
    const network = new NodeNetwork(net, holders)
    try {
      await network.#connect()
      return network
    } catch (error) {
      network.remove()
      throw error
    }
  }

  addressOf(node: number): string {
    return `${this.#net}.${node + 1}`
  }

  /** The words before a command that make it run where the node lives. */
  through(node: number): readonly string[] {
    return ['nsenter', '--net', '--target', String(this.#holders[node]?.pid)]
  }

  /** From now on packets for which one of these rules of nftables holds are dropped, and no others. */
  async drop(...rules: readonly string[]): Promise<void> {
    const chain = 'type filter hook forward priority 0; policy accept;'
    const lines = rules.map((rule) => `${rule} drop;`).join(' ')
    const table = `add table bridge faults; delete table bridge faults; table bridge faults { chain forward { ${chain} ${lines} }; }`
    await this.#inHub('nft', table)
  }

  /** Packets from one node to another. */
  between(from: number, to: number): string {
    return `ip saddr ${this.addressOf(from)} ip daddr ${this.addressOf(to)}`
  }

  remove(): void {
    for (const holder of this.#holders) holder.stdin?.end()
  }

  get #hub(): number {
    return this.#holders.at(-1)?.pid as number
  }

  async #connect(): Promise<void> {
    await this.#inHub('ip', 'link', 'add', 'bridge', 'type', 'bridge')
    await this.#inHub('ip', 'link', 'set', 'bridge', 'up')
    const name = `troop${systemRandom.hex(3)}`
    await this.#plug(['ip'], name, this.here, 'here', process.pid)
    for (const [node, holder] of this.#holders.slice(0, -1).entries()) {
      const inside = ['nsenter', '--net', '--target', String(holder.pid), 'ip']
      await run(inside[0] as string, [...inside.slice(1), 'link', 'set', 'lo', 'up'])
      await this.#plug(inside, 'node', this.addressOf(node), `node${node}`, holder.pid as number)
    }
  }

  /** A wire from the bridge to the namespace of a process. */
  async #plug(
    ip: readonly string[],
    name: string,
    address: string,
    port: string,
    pid: number,
  ): Promise<void> {
    const [program, ...words] = ip as [string, ...string[]]
    const there = (...more: string[]) => run(program, [...words, ...more])
    await this.#inHub(
      'ip',
      'link',
      'add',
      'name',
      port,
      'type',
      'veth',
      'peer',
      'name',
      name,
      'netns',
      `${pid}`,
    )
    await this.#inHub('ip', 'link', 'set', port, 'master', 'bridge')
    await this.#inHub('ip', 'link', 'set', port, 'up')
    await there('address', 'add', `${address}/24`, 'dev', name)
    await there('link', 'set', name, 'up')
  }

  async #inHub(program: string, ...words: string[]): Promise<void> {
    await run('nsenter', ['--net', '--target', `${this.#hub}`, program, ...words])
  }
}

async function holdNamespace(): Promise<ChildProcess> {
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  await once(holder.stdout as NodeJS.ReadableStream, 'data')
  holder.stdout?.resume()
  holder.unref()
  return holder
}
