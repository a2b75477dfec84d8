// What `npm start` runs, as a newcomer meets it: the commands that it prints work, and Ctrl-C leaves nothing.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { codeOf } from '../../src/base/errors.ts'
import { serverPlace } from '../support/postgres.ts'
import { root } from '../support/sources.ts'

const run = promisify(execFile)

describe('troop dev', function () {
  this.timeout(120_000)

  it('runs three nodes, prints commands that work as they are, and leaves nothing running after Ctrl-C', async () => {
    const place = await serverPlace()
    const home = place.root
    const embedded = join(home, 'server')
    const child = spawn(process.execPath, [join(root, 'src', 'bin.ts'), 'dev'], {
      env: { ...process.env, HOME: home, TROOP_POSTGRES_EMBEDDED_DIR: embedded, ...ephemeralPorts },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      const output = await outputUntil(child, /Ctrl-C stops everything/)
      const commands = [...output.matchAll(/^ {2}(curl .*)$/gm)].map(([, command]) => command as string)
      expect(commands).to.have.length(4)

      const answers: string[] = []
      for (const command of commands) answers.push((await run('sh', ['-c', command])).stdout)
      // The API was added, and called at once.
      expect(answers[0]).to.include('"request_path":"/echo"').and.to.include('"url": "/echo"')
      // The plugin was added, and the next call refused.
      expect(answers[1])
        .to.include('"name":"key-auth"')
        .and.to.match(/^HTTP\/1.1 401/m)
      // Someone has a key, and calls with it.
      expect(answers[2]).to.include('"x-consumer-username": "bob"')
      // Who is there.
      expect(
        JSON.parse(answers[3] as string).data.map(({ status }: { status: string }) => status),
      ).to.deep.equal(['alive', 'alive', 'alive'])

      const postmaster = join(embedded, 'data', 'postmaster.pid')
      await access(postmaster)
      child.kill('SIGINT')
      const [code] = await once(child, 'exit')
      expect(code).to.equal(0)
      // Its server has taken it away, as the last thing that it did.
      expect(await access(postmaster).catch(codeOf)).to.equal('ENOENT')
    } finally {
      // Nothing happens to one that has ended.
      child.kill('SIGINT')
    }
    await place.remove()
  })
})

const anyPort = '127.0.0.1:0'
const ephemeralPorts = {
  TROOP_PROXY_LISTEN: anyPort,
  TROOP_PROXY_LISTEN_SSL: anyPort,
  TROOP_ADMIN_API_LISTEN: anyPort,
  TROOP_CLUSTER_LISTEN: anyPort,
  TROOP_CLUSTER_LISTEN_RPC: anyPort,
}

async function outputUntil(child: ChildProcess, pattern: RegExp): Promise<string> {
  let output = ''
  const stdout = child.stdout as NonNullable<ChildProcess['stdout']>
  stdout.setEncoding('utf8')
  for await (const chunk of stdout.iterator({ destroyOnReturn: false })) {
    output += chunk
    if (pattern.test(output)) {
      stdout.resume()
      return output
    }
  }
  throw new Error(`it ended after:\n${output}`)
}
