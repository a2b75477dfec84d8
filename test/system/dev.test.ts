// What `npm start` runs, as a newcomer meets it: the commands that it prints work, and Ctrl-C leaves nothing.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { codeOf } from '../../src/base/errors.ts'
import { runningPid, workingDirAt } from '../../src/node/working-dir.ts'
import { until } from '../support/log.ts'
import { type ServerPlace, serverPlace } from '../support/postgres.ts'
import { root } from '../support/sources.ts'

describe('troop dev', function () {
  this.timeout(240_000)

  let place: ServerPlace
  let home: string
  let env: Record<string, string | undefined>

  beforeEach(async () => {
    place = await serverPlace()
    home = place.root
    env = { ...process.env, HOME: home, TROOP_POSTGRES_EMBEDDED_DIR: join(home, 'server'), ...ephemeralPorts }
  })
  afterEach(() => place.remove())

  const pidOf = (number: number) =>
    runningPid(workingDirAt(join(home, '.troop', 'dev', `node-${number}`)).pidFile)

  async function expectNothingRuns(): Promise<void> {
    for (const number of [1, 2, 3]) expect(await pidOf(number)).to.equal(undefined)
    // Its server has taken it away, as the last thing that it did.
    expect(await access(join(home, 'server', 'data', 'postmaster.pid')).catch(codeOf)).to.equal('ENOENT')
  }

  it('runs three nodes, prints commands that work as they are, and leaves nothing running after Ctrl-C', async () => {
    const dev = new Running(process.execPath, [bin, 'dev'], env)
    try {
      await dev.printed(/Ctrl-C stops everything\.[\s\S]*node 3: alive/)
      const directory = /in another terminal, after: cd (.*)$/m.exec(dev.output)?.[1]
      const commands = [...dev.output.matchAll(/^ {2}# (.*)\n {2}(.*)$/gm)]
      /** Runs the command that does this, in a terminal of the same person. */
      const type = async (what: RegExp) => {
        const command = commands.find(([, comment]) => what.test(comment as string))?.[2]
        const own = { PATH: process.env.PATH, HOME: home, npm_config_update_notifier: 'false' }
        return (await promisify(execFile)('sh', ['-c', `cd ${directory}; ${command}`], { env: own })).stdout
      }
      expect(commands).to.have.length(8)

      expect(await type(/add an API .* nodes 2 and 3$/)).to.match(
        /"request_path":"\/echo"(.*\n)+.*"url": "\/echo"(.*\n)+.*"url": "\/echo"/,
      )
      expect(await type(/ask callers for a key/)).to.match(/"name":"key-auth".*\nHTTP\/1.1 401/)
      expect(await type(/give someone a key/)).to.include('"x-consumer-username": "bob"')
      expect(await type(/how far each node is/)).to.match(/^head \d+, digest .*\n\nname .*\n(.*\n){3}$/)

      expect(await type(/end node 3 as a crash/)).to.match(
        /^X-Troop-Applied: 2\/3\r\nX-Troop-Lagging: \S+\r$/m,
      )
      await dev.printed(/node 3 has ended; .* run\n {2}\(.*start\)\n(.*\n)*node 3: failed, no process/)
      expect(await type(/make it leave for good/)).to.match(/^X-Troop-Applied: 2\/2\r$/m)
      expect(await type(/bring it back/)).to.include('"url": "/late"')
      await dev.printed(new RegExp(`node 3: alive, process ${await pidOf(3)}, `))
      expect((await type(/take away what/)).trim()).to.equal('')

      const settings = await readFile(join(home, '.troop', 'dev', 'node-1', 'settings.sh'), 'utf8')
      const second = await promisify(execFile)(process.execPath, [bin, 'dev'], { env }).catch(
        (error) => error,
      )
      expect(second).to.include({ code: 1 })
      expect(second.stdout + second.stderr).to.include(`node 1 runs already, in process ${await pidOf(1)}: `)
      expect(await readFile(join(home, '.troop', 'dev', 'node-1', 'settings.sh'), 'utf8')).to.equal(settings)

      await access(join(home, 'server', 'data', 'postmaster.pid'))
      dev.child.kill('SIGINT')
      expect(await dev.ended()).to.equal(0)
      // The node that another terminal has started is one of those that were stopped.
      await expectNothingRuns()
    } finally {
      await dev.remove()
    }
  })

  it('shows a table on a terminal, starts again what has ended when r is pressed, and ends on Ctrl-C', async () => {
    const command = `'${process.execPath}' '${bin}' dev --nodes 1`
    const onTerminal = process.platform === 'linux' ? ['-qefc', command, '/dev/null'] : onMac(command)
    const dev = new Running('script', onTerminal, { ...env, NO_COLOR: '1' })
    try {
      const row = (pid: number | undefined) =>
        new RegExp(`node +proxy +admin .*\r\n1 +:\\d+ +:\\d+ +${pid ?? '-'} +(alive|-) `)
      await dev.printed(/ alive /)
      const first = (await pidOf(1)) as number
      expect(dev.output).to.match(row(first))
      process.kill(first, 'SIGKILL')
      await dev.printed(/node 1 has ended; to start it again, press r, or run\r\n/)
      await dev.printed(row(undefined))
      dev.child.stdin?.write('r')
      await dev.printed(/starting node 1 …\r\n[\s\S]* node 1 serves: /)
      await dev.printed(row(await pidOf(1)))
      dev.child.stdin?.write('\u0003')
      expect(await dev.ended()).to.equal(0)
      expect(dev.output).to.match(/stopped; what you configured is kept\r\n$/)
      await expectNothingRuns()
    } finally {
      await dev.remove()
    }
  })

  it('takes a plugin anew on every node when its file is saved, and goes on with the old one if it is broken', async () => {
    const own = { ...process.env, INIT_CWD: home, npm_config_update_notifier: 'false' }
    const type = async (command: string) =>
      (await promisify(execFile)('sh', ['-c', command], { env: own, cwd: root })).stdout
    const made = await type(`npm run -s troop -- plugin create office-hours --directory ${home}`)
    const commands = [...made.matchAll(/^ {2}# (.*)\n {2}(.*)$/gm)].map(([, what, command]) => ({
      what,
      command,
    }))
    expect(commands.map(({ what }) => what)).to.have.length(4)
    const [test, run, configure, takeAway] = commands.map(({ command }) => command as string)
    expect(await type(test as string)).to.match(/pass 3\n/)

    // As it is typed, but for two nodes rather than three, and without npm, which Ctrl-C reaches on a terminal only.
    const direct = (run as string).replace('npm run -s troop --', `'${process.execPath}' '${bin}'`)
    const dev = new Running('sh', ['-c', `exec env ${direct} --nodes 2`], env)
    try {
      await dev.printed(/Your plugins are reloaded[\s\S]*node 2: alive/)
      const [first, second] = [...dev.output.matchAll(/node \d serves: proxy (\S+), admin (\S+),/g)]
      const upstream = /An upstream to try it with is at (\S+):/.exec(dev.output)?.[1] as string
      const here = (command: string | undefined) =>
        (command as string)
          .replaceAll('http://127.0.0.1:8001', first?.[2] as string)
          .replaceAll('http://127.0.0.1:8000', first?.[1] as string)
          .replaceAll('http://127.0.0.1:8009', upstream)
      expect(await type(here(configure))).to.include('"x-office-hours": "moin"')
      /** What each node tells the upstream, by whichever worker. */
      const told = async () => {
        const calls = [first, second].flatMap((node) =>
          Array.from({ length: 6 }, async () => {
            const answer = await fetch(`${node?.[1]}/office-hours`, { headers: { connection: 'close' } })
            return ((await answer.json()) as { headers: Record<string, string> }).headers['x-office-hours']
          }),
        )
        return [...new Set(await Promise.all(calls))]
      }
      const file = join(home, 'office-hours', 'office-hours.ts')
      const text = await readFile(file, 'utf8')
      /** Saves it, and waits for what is then printed. */
      const save = async (changed: string, printed: RegExp) => {
        const before = dev.output.length
        await writeFile(file, changed)
        await until(() => printed.test(dev.output.slice(before)))
      }

      await save(
        text.replace('config.greeting)', 'config.greeting + ", you")'),
        /reloaded node 1, 2; the code of \S+office-hours.ts changed\n/,
      )
      expect(await told()).to.deep.equal(['moin, you'])
      await save(
        'export default {{',
        /node 1 goes on as it was: .*office-hours\.ts cannot be used: it failed to load at \S+office-hours\.ts:1/,
      )
      expect(await told()).to.deep.equal(['moin, you'])
      await save(text, /reloaded node 1, 2; the code of /)
      expect(await told()).to.deep.equal(['moin'])
      expect(await type(here(takeAway))).to.equal('')
      expect((await fetch(`${second?.[1]}/office-hours`)).status).to.equal(404)
    } finally {
      await dev.remove()
    }
    await expectNothingRuns()
  })
})

const bin = join(root, 'src', 'bin.ts')

function onMac(command: string): string[] {
  return ['-q', '/dev/null', 'sh', '-c', command]
}

/** A process that somebody looks at. */
class Running {
  readonly child: ChildProcess
  output = ''

  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.output += text
    })
  }

  /** Waits until it has printed this, or has ended. */
  printed(pattern: RegExp): Promise<void> {
    return until(() => this.child.exitCode !== null || pattern.test(this.output))
  }

  /** Resolves with its exit code. */
  async ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'close')
    return this.child.exitCode
  }

  /** Ends it, if it has not ended. */
  async remove(): Promise<void> {
    this.child.kill('SIGINT')
    await this.ended()
  }
}

const anyPort = '127.0.0.1:0'
const ephemeralPorts = {
  TROOP_PROXY_LISTEN: anyPort,
  TROOP_PROXY_LISTEN_SSL: anyPort,
  TROOP_ADMIN_API_LISTEN: anyPort,
  TROOP_CLUSTER_LISTEN: anyPort,
  TROOP_CLUSTER_LISTEN_RPC: anyPort,
}
