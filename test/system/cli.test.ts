// The command line, each command a real process and each node a real one in the background.
import { access, readFile, rename, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { expect } from 'chai'
import { makeSelfSigned } from '../../src/node/self-signed.ts'
import { runningPid } from '../../src/node/working-dir.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { certificate } from '../support/certificate.ts'
import { CommandLine } from '../support/command-line.ts'
import { until } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('the command line', function () {
  this.timeout(60_000)
  let database: TestDatabase
  let line: CommandLine

  before(async () => {
    database = await testDatabase()
    line = await CommandLine.on(database)
  })
  after(async () => {
    await line?.remove()
    await database?.drop()
  })

  const pidFile = () => join(line.workingDir, 'troop.pid')
  const runs = async () => (await runningPid(pidFile())) !== undefined

  describe('called wrongly', () => {
    it('says what is missing or unknown, with the usage, on standard output', async () => {
      const missing = await line.run([])
      expect(missing.code).to.equal(1)
      expect(missing.stdout).to.match(/^Missing <command>\n\n[\s\S]*USAGE/)
      const invalid = await line.run(['foo'])
      expect(invalid.code).to.equal(1)
      expect(invalid.stdout).to.match(/^Invalid <command>: foo\n\n[\s\S]*USAGE/)
    })

    it('says so of a topic on standard error', async () => {
      const missing = await line.run(['migrations'])
      expect(missing).to.deep.include({ code: 1, stdout: '' })
      expect(missing.stderr).to.match(/^Missing required <command>\.\n/)
      expect((await line.run(['migrations', 'foo'])).stderr).to.match(/^Invalid command: foo\n/)
    })

    it('refuses options that it does not know and options without their value', async () => {
      for (const words of [
        ['status', '--bogus'],
        ['status', '-c'],
        ['status', 'extra'],
        ['quit', '--timeout=5x'],
      ]) {
        const { code, stdout, stderr } = await line.run(words)
        expect({ words, code, stdout }).to.deep.equal({ words, code: 1, stdout: '' })
        expect(stderr).to.match(new RegExp(`See "troop ${words[0]} --help"`))
      }
    })
  })

  it('helps on standard output, with exit code 0', async () => {
    for (const words of [
      ['--help'],
      ['-h'],
      ['start', '--help'],
      ['migrations', '-h'],
      ['migrations', 'up', '-h'],
    ]) {
      const { code, stdout, stderr } = await line.run(words)
      expect({ words, code, stderr }).to.deep.equal({ words, code: 0, stderr: '' })
      expect(stdout).to.contain('USAGE')
    }
  })

  it('prints its version [contract 129]', async () => {
    const expected = { code: 0, stdout: 'troop version: 0.1.0\n', stderr: '' }
    expect(await line.run(['version'])).to.deep.equal(expected)
    expect(await line.run(['--version'])).to.deep.equal(expected)
  })

  describe('with a configuration that is wrong', () => {
    afterEach(() => line.configure({}))

    it('names every fault before it does anything', async () => {
      await line.configure({ workers: 'two', proxy_lisen: 'x' })
      for (const command of ['check', 'start', 'status', 'reload']) {
        const { code, stdout } = await line.troop(command)
        expect({ command, code }).to.deep.equal({ command, code: 1 })
        expect(stdout).to.match(
          /\[WARN\] proxy_lisen: unknown property .*\n {7}did you mean proxy_listen\?\n/,
        )
        expect(stdout).to.match(/\[WARN\] workers: must be a number \(got "two", .*troop\.yml:\d+\)\n/)
        expect(stdout).to.match(/\[ERR\] Invalid properties in given configuration file\n/)
      }
    })

    it('tells a program the same', async () => {
      await line.configure({ workers: 'two' })
      const wrong = await line.troop('check', '--json')
      expect(wrong.code).to.equal(1)
      expect(JSON.parse(wrong.stdout).faults[0]).to.include({
        property: 'workers',
        reason: 'must be a number',
      })
      await line.configure({ nginx: 'x' })
      const right = JSON.parse((await line.troop('check', '--json')).stdout)
      expect(right.notices[0].property).to.equal('nginx')
      expect(right.configuration.postgres.password).to.equal('******')
    })
  })

  it('checks what is in the files that a configuration names, not only that they are there', async () => {
    const [cert, key] = [join(line.dir, 'c.pem'), join(line.dir, 'k.pem')]
    await writeFile(cert, certificate)
    await writeFile(key, makeSelfSigned({ validFrom: 0, validTo: 1, serial: '00' }).key)
    await line.configure({ admin_api_ssl_cert_path: cert, admin_api_ssl_key_path: key })
    const { code, stdout } = await line.troop('check')
    expect(code).to.equal(1)
    expect(stdout).to.match(/\[WARN\] admin_api_ssl_key_path: \S+k\.pem is not the key of the certificate in/)
    const told = JSON.parse((await line.troop('check', '--json')).stdout)
    expect(told.faults[0].property).to.equal('admin_api_ssl_key_path')
    await line.configure({})
  })

  describe('while no node runs', () => {
    it('says so, with exit code 1 [contract 119-120, 128]', async () => {
      for (const command of ['stop', 'quit', 'reload', 'status']) {
        const { code, stdout } = await line.troop(command)
        expect({ command, code }).to.deep.equal({ command, code: 1 })
        expect(stdout).to.match(/\[ERR\] Troop is not running\n/)
      }
      expect(await line.status()).to.deep.equal({ state: 'stopped' })
    })
  })

  describe('start', () => {
    afterEach(async () => {
      await line.configure({})
      if (await runs()) await line.troop('stop')
    })

    it('returns once the node serves; a second one fails and the node goes on [contract 122, 124, 128]', async () => {
      const started = await line.troop('start')
      expect(started, started.stdout).to.include({ code: 0 })
      expect(started.stdout).to.match(/^\[INFO\] troop 0\.1\.0\n\[INFO\] Using configuration: .*troop\.yml\n/)
      expect(started.stdout).to.match(/\[OK\] Started\n$/)
      const { status } = await line.status()
      expect((await fetch(`http://${status.listeners.admin_api_listen}/`)).status).to.equal(200)

      const again = await line.troop('start')
      expect(again.code).to.equal(1)
      expect(again.stdout).to.match(/\[ERR\] Troop is currently running\n/)
      expect((await fetch(`http://${status.listeners.admin_api_listen}/`)).status).to.equal(200)
      expect((await line.troop('status')).stdout).to.match(/\[INFO\] Troop is running\n/)
      expect((await line.status()).status.pid).to.equal(status.pid)
    })

    it('fails naming a plugin that is not installed, and leaves nothing behind [contract 125]', async () => {
      await line.configure({ custom_plugins: ['key-auth', 'no-such-plugin'] })
      const { code, stdout } = await line.troop('start')
      expect(code).to.equal(1)
      expect(stdout).to.match(/\[ERR\] .*not installed on the system: no-such-plugin/)
      expect(stdout).to.match(/\[ERR\] Could not start Troop\n$/)
      expect(await exists(pidFile())).to.equal(false)
    })

    it('fails naming a plugin that is broken, and why', async () => {
      await writeFile(join(line.dir, 'broken.mjs'), 'throw new Error("no such luck")')
      await line.configure({ custom_plugins: ['./broken.mjs'] })
      const { code, stdout } = await line.troop('start')
      expect(code).to.equal(1)
      expect(stdout).to.match(
        /\[ERR\] .*the plugin \.\/broken\.mjs cannot be used: it failed to load.*no such luck/,
      )
    })

    it('takes a shipped plugin that custom_plugins repeats, and one that the datastore uses [contract 126]', async () => {
      await line.configure({ custom_plugins: ['key-auth'] })
      expect((await line.troop('start')).code).to.equal(0)
      const admin = `http://${(await line.status()).status.listeners.admin_api_listen}`
      const answer = await fetch(`${admin}/plugins/enabled`)
      const { enabled_plugins: enabled } = (await answer.json()) as { enabled_plugins: string[] }
      expect(enabled.filter((name) => name === 'key-auth')).to.have.length(1)
    })

    it('fails naming a plugin that the datastore uses and the node does not have [contract 127]', async () => {
      const [api] = await database.query(
        `insert into apis (name, request_path, upstream_url) values ('x', '/x', 'http://127.0.0.1') returning id`,
      )
      await database.query(`insert into plugins (name, api_id, config) values ('gone', $1, '{}')`, [api.id])
      try {
        const { code, stdout } = await line.troop('start')
        expect(code).to.equal(1)
        expect(stdout).to.match(/\[ERR\] .*plugin that has not been enabled in the configuration: gone\n/)
      } finally {
        await database.query('delete from apis')
      }
    })

    it('in the foreground ends with exit code 0 when it is told to stop', async () => {
      const running = line.troop('start', '--foreground')
      const early = running.then(({ stderr }) => expect.fail(`it ended:\n${stderr}`))
      // Each look at its status is a process of its own: not before there is one to look at.
      await Promise.race([early, until(runs)])
      await Promise.race([early, until(async () => (await line.status()).state === 'running')])
      early.catch(() => undefined)
      expect((await line.troop('stop')).stdout).to.match(/\[OK\] Stopped\n$/)
      const ended = await running
      expect(ended.code).to.equal(0)
      expect(ended.stderr).to.match(/\[OK\] Started\n/)
      for (const text of ended.stdout.trim().split('\n')) JSON.parse(text)
    })
  })

  describe('on a node that runs', () => {
    /** Some tests end it. */
    beforeEach(async () => {
      await line.configure({})
      if (await runs()) return
      const { code, stdout } = await line.troop('start')
      expect(code, stdout).to.equal(0)
    })
    /** The next test is not to meet what one that failed has left of it. */
    afterEach(async function () {
      if (this.currentTest?.state === 'failed' && (await runs())) await line.troop('stop', '--timeout', '1s')
    })
    after(() => line.troop('stop'))

    it('reload keeps the process and applies what it can [contract 120, 131]', async () => {
      const pid = await line.pid()
      await line.configure({ trusted_ips: ['10.0.0.1'], workers: 2 })
      const { code, stdout } = await line.troop('reload')
      await line.configure({})
      expect({ code, pid: await line.pid() }).to.deep.equal({ code: 0, pid })
      expect(stdout).to.match(
        /\[INFO\] trusted_ips changed\n\[WARN\] workers changed: .*restart\n\[OK\] Reloaded\n$/,
      )
    })

    it('reload refuses a plugin that is not installed, and the node goes on', async () => {
      await line.configure({ custom_plugins: ['no-such-plugin'] })
      const { code, stdout } = await line.troop('reload')
      await line.configure({})
      expect(code).to.equal(1)
      expect(stdout).to.match(/no-such-plugin/)
      expect((await line.status()).state).to.equal('running')
    })

    it('its log can be moved away and begun anew', async () => {
      const log = join(line.workingDir, 'logs', 'troop.log')
      await rename(log, `${log}.1`)
      process.kill(await line.pid(), 'SIGUSR1')
      await until(() => exists(log))
      await line.troop('reload')
      expect(await readFile(log, 'utf8')).to.match(/"reloaded"/)
      await rm(`${log}.1`)
    })

    it('restart replaces the process [contract 121]', async () => {
      const before = await line.pid()
      expect((await line.troop('restart')).code).to.equal(0)
      expect(await line.pid()).not.to.equal(before)
      expect((await line.status()).state).to.equal('running')
    })

    it('a node that was killed is not running, and restart brings it back [contract 120-121, 128]', async () => {
      await kill('SIGKILL')
      for (const command of ['status', 'reload']) {
        const { code, stdout } = await line.troop(command)
        expect({ command, code }).to.deep.equal({ command, code: 1 })
        expect(stdout).to.match(/\[ERR\] Troop is not running\n/)
      }
      expect((await line.troop('restart')).code).to.equal(0)
      expect((await line.status()).state).to.equal('running')
    })

    it('a node that does not answer is told from one that runs, and stop ends it all the same [contract 128]', async () => {
      process.kill(await line.pid(), 'SIGSTOP')
      const { code, stdout } = await line.troop('status')
      expect(code).to.equal(1)
      expect(stdout).to.match(
        /\[ERR\] Some services required by Troop are not running\. Please execute "troop restart"!\n/,
      )
      const stopped = await line.troop('stop', '--timeout', '300ms')
      expect(stopped.code).to.equal(0)
      expect(stopped.stdout).to.match(/\[WARN\] .*sending SIGTERM\n\[WARN\] .*killing it\n\[OK\] Stopped\n$/)
      expect((await line.status()).state).to.equal('stopped')
    })

    it('quit lets open requests finish [contract 119]', async () => {
      const { response, upstream, finish } = await openRequest()
      const quitting = line.troop('quit')
      await until(async () => (await line.status()).state === 'degraded')
      finish()
      expect((await response).status).to.equal(200)
      const { code, stdout } = await quitting
      expect(code).to.equal(0)
      expect(stdout).to.match(/\[OK\] Stopped\n$/)
      await upstream.stop()
    })

    it('quit cuts requests that take longer than it may', async () => {
      const { response, upstream } = await openRequest()
      response.catch(() => undefined)
      const { code, stdout } = await line.troop('quit', '--timeout', '300ms')
      expect(code).to.equal(0)
      expect(stdout).to.match(/\[WARN\] requests are still open after 0\.3 s: stopping\n/)
      await upstream.stop()
    })

    async function openRequest() {
      const upstream = await new Upstream().start()
      const asked = Promise.withResolvers<ServerResponse>()
      upstream.answer = (_, response) => asked.resolve(response)
      const { listeners } = (await line.status()).status
      const api = { name: 'held', request_path: '/held', upstream_url: upstream.url }
      await fetch(`http://${listeners.admin_api_listen}/apis/held`, { method: 'DELETE' })
      await fetch(`http://${listeners.admin_api_listen}/apis`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(api),
      })
      const response = fetch(`http://${listeners.proxy_listen}/held`)
      const held = await asked.promise
      return { response, upstream, finish: () => held.end('done') }
    }

    async function kill(signal: NodeJS.Signals): Promise<void> {
      process.kill(await line.pid(), signal)
      await until(async () => !(await runs()))
    }
  })

  describe('migrations', () => {
    let empty: TestDatabase
    let own: CommandLine
    before(async () => {
      empty = await testDatabase()
      own = await CommandLine.on(empty)
    })
    after(async () => {
      await own?.remove()
      await empty?.drop()
    })

    it('run once, are recorded per module and listed [contract 134]', async () => {
      await own.troop('migrations', 'reset', '--yes')
      const first = await own.troop('migrations', 'up')
      expect(first.code).to.equal(0)
      expect(first.stdout).to.match(
        /\[INFO\] Migrating core .*\n(.*\n)*\[INFO\] key-auth migrated up to: \w+\n/,
      )
      expect(first.stdout).to.match(/\[OK\] Schema up to date\n$/)
      expect((await own.troop('migrations', 'up')).stdout).not.to.match(/Migrating/)
      expect((await own.troop('migrations', 'list')).stdout).to.match(
        /\[INFO\] core: 0001_log, 0002_entities, 0003_nodes/,
      )
      const listed = JSON.parse((await own.troop('migrations', 'list', '--json')).stdout)
      expect(listed.map(({ module }: { module: string }) => module)).to.include.members(['core', 'key-auth'])
    })

    it('are dropped only when the answer is yes', async () => {
      const asked = await own.run(['migrations', 'reset', '-c', own.configPath], 'maybe\nNO\n')
      expect(asked.code).to.equal(0)
      expect(asked.stdout.match(/Are you sure\?/g)).to.have.length(2)
      expect((await own.troop('migrations', 'list')).stdout).to.match(/Executed migrations for/)

      expect((await own.troop('migrations', 'reset')).stdout).to.match(
        /\[ERR\] nobody answered\n {6}use --yes/,
      )
      const sure = await own.run(['migrations', 'reset', '-c', own.configPath], 'y\n')
      expect(sure.stdout).to.match(/\[OK\] Schema successfully reset\n$/)
      expect((await own.troop('migrations', 'list')).stdout).to.match(/No migrations have been run yet for/)
    })

    it('fail with a cause and a remedy when there is no such database [contract 135]', async () => {
      await own.configure({
        postgres: {
          host: empty.host,
          port: empty.port,
          user: empty.user,
          password: empty.password,
          database: 'nope',
        },
      })
      const { code, stdout } = await own.troop('migrations', 'list')
      await own.configure({})
      expect(code).to.equal(1)
      expect(stdout).to.match(/\[ERR\] .*"nope" does not exist/)
    })
  })
})

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
