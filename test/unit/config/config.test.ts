import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  changedSettings,
  configurationTable,
  type LoadedConfig,
  loadConfig,
  maskConfiguration,
} from '../../../src/config/config.ts'
import { ConfigurationInvalid, describeFaults } from '../../../src/config/errors.ts'

describe('a configuration', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'troop-config-'))
  })
  after(() => rm(dir, { recursive: true }))

  async function load(yaml: string, env: Record<string, string> = {}): Promise<LoadedConfig> {
    const path = join(dir, 'troop.yml')
    await writeFile(path, yaml)
    return loadConfig({ path, env, home: '/home/me', cwd: '/srv', openFilesMax: undefined })
  }

  /** The lines that describe the faults, without the directory. */
  async function faults(yaml: string, env: Record<string, string> = {}): Promise<string[]> {
    try {
      await load(yaml, env)
    } catch (error) {
      expect(error).to.be.instanceOf(ConfigurationInvalid)
      const reports = describeFaults((error as ConfigurationInvalid).faults)
      return reports.map(({ cause }) => cause.replaceAll(`${dir}/`, ''))
    }
    throw new Error('expected faults')
  }

  const defaults = (env: Record<string, string> = {}) =>
    loadConfig({ path: '/dev/null', env, home: '/home/me', cwd: '/srv' })

  describe('of connections', () => {
    const loaded = async (openFilesMax: number | undefined, env: Record<string, string> = {}) => {
      const { config, warnings } = await loadConfig({
        path: '/dev/null',
        env: { TROOP_WORKERS: '2', ...env },
        openFilesMax,
      })
      return {
        connectionsMax: config.proxy.limits.connectionsMax,
        shown: (maskConfiguration(config).proxy as Record<string, unknown>).connections_max,
        warnings: describeFaults(warnings).map(({ cause, remedies }) => [cause, ...remedies].join('\n')),
      }
    }
    const max = (value: number) => ({ TROOP_PROXY_CONNECTIONS_MAX: String(value) })

    it('takes what the limit of open files leaves room for, two for each and a part for the node itself', async () => {
      const connections = async (filesMax: number | undefined) => (await loaded(filesMax)).connectionsMax
      expect(await connections(undefined)).to.equal(16_384)
      expect(await connections(1_048_576)).to.equal(16_384)
      expect(await connections(8192)).to.equal((8192 * 0.75) / 2 / 2)
      expect(await connections(256)).to.equal((256 - 64 - 16 - 10) / 2 / 2 - 0.5)
      expect(await connections(20)).to.equal(1)
      expect((await loaded(8192)).shown).to.equal(1536)
    })

    it('warns of a limit that is low, and of more than there is room for, with the remedy', async () => {
      expect((await loaded(8192)).warnings).to.deep.equal([])
      expect((await loaded(undefined, max(1e6))).warnings).to.deep.equal([])
      expect((await loaded(1024, max(10))).warnings).to.deep.equal([])
      expect((await loaded(1024)).warnings).to.deep.equal([
        'proxy.connections_max: the limit of open files (ulimit -n: 1024) leaves room for 192 in each of 2 workers\n' +
          'raise the limit (`ulimit -n`; systemd: LimitNOFILE; Docker: --ulimit nofile)',
      ])
      const { connectionsMax, warnings } = await loaded(8192, max(2000))
      expect(connectionsMax).to.equal(2000)
      expect(warnings.join()).to.match(/: 2000 may be more than .*, or set proxy.connections_max to 1536$/s)
    })
  })

  describe('without a file', () => {
    it('has a default for everything that a node needs [contract 124]', async () => {
      const { config } = await defaults()
      expect(config.proxy.listen).to.deep.equal({ host: '0.0.0.0', port: 8000 })
      expect(config.admin.listen).to.deep.equal({ host: '127.0.0.1', port: 8001 })
      expect(config.workingDir).to.equal('/home/me/.troop')
      expect(config.cluster.profile).to.equal('lan')
      expect(config.cluster.ttlOnFailureMs).to.equal(3_600_000)
      expect(config.proxy.connectTimeoutMs).to.equal(60_000)
      expect(config.proxy.upstreamSpares).to.equal(0)
      expect(config.workers).to.be.at.least(1)
    })

    it('cannot be changed once it is loaded', async () => {
      const { config } = await defaults()
      expect(() => {
        ;(config.proxy.trustedIps as string[]).push('0.0.0.0/0')
      }).to.throw(TypeError)
      expect(Object.isFrozen(config.cluster)).to.equal(true)
    })

    it('is refused when a file was named that is not there', async () => {
      const error = await loadConfig({ path: 'none.yml', env: {}, cwd: dir }).catch((thrown) => thrown)
      expect(error.message).to.equal(`No configuration file at: ${dir}/none.yml`)
      expect(error.code).to.equal('configuration-missing')
    })
  })

  describe('in a file', () => {
    it('is not coerced: a quoted number is an error [contract 488]', async () => {
      expect(await faults('workers: "8"')).to.deep.equal(['workers: must be a number (got "8", troop.yml:1)'])
    })

    it('is refused with the reason of every type [contract 488]', async () => {
      const yaml = `
custom_plugins: one
working_dir: 5
admin_api_insecure: "yes"
memory_cache_size: 31
database: mysql
proxy_listen: nowhere
cluster_listen: localhost:7946
cluster: {ttl_on_failure: 59, profile: moon, ack_timeout: 1000}
proxy: 3
trusted_ips: [10.0.0.0/33]
`
      expect(await faults(yaml)).to.deep.equal([
        'proxy: must be a table (got 3, troop.yml:10)',
        'custom_plugins: must be a array (got "one", troop.yml:2)',
        'working_dir: must be a string (got 5, troop.yml:3)',
        'admin_api_insecure: must be a boolean (got "yes", troop.yml:4)',
        'memory_cache_size: must be greater than 32 (got 31, troop.yml:5)',
        `database: must be one of: 'postgres' (got "mysql", troop.yml:6)`,
        'proxy_listen: nowhere is not a valid "host:port" value (troop.yml:7)',
        'cluster_listen: localhost:7946 is not a valid "ip:port" value (troop.yml:8)',
        'cluster.ttl_on_failure: must be greater than 59'.replace('59', '60 (got 59, troop.yml:9)'),
        `cluster.profile: must be one of: 'wan, lan, local' (got "moon", troop.yml:9)`,
        'cluster.ack_timeout: must be a duration with its unit, such as 250ms, 1s or 2m (got 1000, troop.yml:9)',
        'trusted_ips: 10.0.0.0/33 is not a valid IP address or CIDR range (got ["10.0.0.0/33"], troop.yml:11)',
      ])
    })

    it('allows the minimum itself [contract 488]', async () => {
      const { config } = await load('memory_cache_size: 32\ncluster: {ttl_on_failure: 60}')
      expect(config.memoryCacheSizeMb).to.equal(32)
      expect(config.cluster.ttlOnFailureMs).to.equal(60_000)
    })

    it('may have 0 to 100 connections opened ahead for an upstream, and no half ones', async () => {
      const spares = async (value: string) =>
        (await load(`proxy: {upstream_spares: ${value}}`)).config.proxy.upstreamSpares
      expect([await spares('0'), await spares('100')]).to.deep.equal([0, 100])
      for (const value of ['-1', '101', '1.5']) {
        const [fault] = await faults(`proxy: {upstream_spares: ${value}}`)
        expect(fault)
          .to.match(/^proxy.upstream_spares: must be /)
          .and.contain(`(got ${value}, troop.yml:1)`)
      }
    })

    it('names the nearest property for one that is unknown', async () => {
      const error = await load('proxy_lisen: "0.0.0.0:80"\npostgres: {hots: a}\nzzz: 1').catch((e) => e)
      expect(describeFaults(error.faults).map(({ remedies }) => remedies[0])).to.deep.equal([
        'did you mean proxy_listen?',
        'did you mean postgres.host?',
        'see docs/configuration.md for all of them',
      ])
    })

    it('says the line when it is not YAML', async () => {
      const error = await load('a: [1').catch((thrown) => thrown)
      expect(error.message).to.equal(`Could not parse configuration at: ${dir}/troop.yml`)
      expect(error.hint).to.match(/line 1|line 2/)
    })

    it('counts a property without a value as not given', async () => {
      expect((await load('workers:\ncluster:\n')).config.workers).to.be.at.least(1)
    })

    it('is refused when two names of one setting are given', async () => {
      expect(await faults('working_dir: /a\nnginx_working_dir: /b')).to.deep.equal([
        'working_dir: is given 2 times (troop.yml:1 and troop.yml:2)',
      ])
    })

    it('may be one that was written for Kong 0.8: what has no effect is named', async () => {
      const { config, notices } = await load(`
nginx_working_dir: kong/
send_anonymous_reports: true
dns_resolver: dnsmasq
dns_resolvers_available: {dnsmasq: {port: 8053}}
cassandra: {contact_points: ["127.0.0.1:9042"], data_centers: {dc1: 2}}
nginx: "worker_processes 1;"
`)
      expect(config.workingDir).to.equal('/srv/kong')
      expect(notices.map(({ property }) => property)).to.deep.equal([
        'send_anonymous_reports',
        'dns_resolver',
        'dns_resolvers_available',
        'cassandra',
        'nginx',
      ])
    })

    it('takes one key of the cluster for a list of one, and refuses other lengths without repeating them', async () => {
      const key = Buffer.alloc(16, 7).toString('base64')
      expect((await load(`cluster: {encrypt: "${key}"}`)).config.cluster.encrypt).to.deep.equal([key])
      expect(await faults('cluster: {encrypt: c2hvcnQ=}')).to.deep.equal([
        'cluster.encrypt: must be 16 or 32 bytes in base64 (got ******, troop.yml:1)',
      ])
    })
  })

  describe('in the environment', () => {
    it('goes over the file, and is coerced', async () => {
      const env = {
        TROOP_WORKERS: '3',
        TROOP_CLUSTER_AUTO_JOIN: 'false',
        TROOP_TRUSTED_IPS: '10.0.0.1, fd00::/8',
        TROOP_PROXY_READ_TIMEOUT: '90s',
      }
      const { config } = await load('workers: 8', env)
      expect(config.workers).to.equal(3)
      expect(config.cluster.autoJoin).to.equal(false)
      expect(config.proxy.trustedIps).to.deep.equal(['10.0.0.1', 'fd00::/8'])
      expect(config.proxy.readTimeoutMs).to.equal(90_000)
    })

    it('is refused where no setting has that name, with the nearest', async () => {
      const error = await defaults({ TROOP_PROXY_LISTN: 'x' }).catch((thrown) => thrown)
      expect(describeFaults(error.faults)).to.deep.equal([
        {
          cause: 'TROOP_PROXY_LISTN: unknown property (environment)',
          remedies: ['did you mean TROOP_PROXY_LISTEN?'],
        },
      ])
    })

    it('may hold what Kubernetes sets for a service called troop', async () => {
      const env = {
        TROOP_SERVICE_HOST: '10.1.1.1',
        TROOP_SERVICE_PORT_HTTP: '80',
        TROOP_PORT: 'tcp://10.1.1.1:80',
        TROOP_PORT_80_TCP_ADDR: '10.1.1.1',
        TROOP_POSTGRES_PORT: 'tcp://10.1.1.2:5432',
      }
      expect((await defaults(env)).config.postgres.port).to.equal(5432)
    })

    it('has one name per setting', () => {
      const names = configurationTable().map(({ environment }) => environment)
      expect(new Set(names).size).to.equal(names.length)
    })
  })

  describe('of the datastore', () => {
    it('is the embedded server unless a connection is described', async () => {
      expect((await defaults()).config.postgres.embedded).to.equal(true)
      expect((await load('postgres: {pool_size: 5}')).config.postgres.embedded).to.equal(true)
      expect((await load('postgres: {host: db}')).config.postgres.embedded).to.equal(false)
      expect((await defaults({ TROOP_POSTGRES_PASSWORD: 'x' })).config.postgres.embedded).to.equal(false)
    })

    it('is a server on this machine with `database: postgres` alone', async () => {
      const { embedded, host, port } = (await load('database: postgres')).config.postgres
      expect({ embedded, host, port }).to.deep.equal({ embedded: false, host: '127.0.0.1', port: 5432 })
    })

    it('is refused as cassandra, with the remedy', async () => {
      const error = await load('database: cassandra').catch((thrown) => thrown)
      expect(error.faults[0].reason).to.equal('cassandra is not supported')
      expect(error.faults[0].remedy).to.contain('postgres')
    })
  })

  describe('that contradicts itself is refused:', () => {
    it('an Admin API that other machines reach without a token', async () => {
      expect((await faults('admin_api_listen: 0.0.0.0:8001'))[0]).to.match(
        /^admin_api_listen: other machines/,
      )
      await load('admin_api_listen: 0.0.0.0:8001\nadmin_api_insecure: true')
      const { config } = await load('admin_api_listen: 0.0.0.0:8001\nadmin_api_token: s3cret')
      expect(config.admin.tokens).to.deep.equal(['s3cret'])
    })

    it('control on an address that other machines reach', async () => {
      expect((await faults('cluster_listen_rpc: 10.0.0.1:7373'))[0]).to.match(/must be a loopback address/)
    })

    it('one of two TLS paths, and a file that is not there [contract 488]', async () => {
      expect(await faults('ssl_cert_path: /nowhere/cert.pem')).to.deep.equal([
        'ssl_cert_path: there is no such file (got /nowhere/cert.pem, troop.yml:1)',
        'ssl_key_path: must be given when ssl_cert_path is',
      ])
    })

    it('an Admin API with half a pair, or that takes HTTPS from other machines without a token', async () => {
      expect(await faults('admin_api_ssl_key_path: /nowhere/key.pem')).to.deep.equal([
        'admin_api_ssl_key_path: there is no such file (got /nowhere/key.pem, troop.yml:1)',
        'admin_api_ssl_cert_path: must be given when admin_api_ssl_key_path is',
      ])
      expect((await faults('admin_api_ssl_listen: 0.0.0.0:8444'))[0]).to.match(
        /^admin_api_ssl_listen: other machines can reach this address/,
      )
      expect((await faults('admin_api_ssl_listen: 127.0.0.1:8001'))[0]).to.match(
        /is the same port as admin_api_listen/,
      )
      const { config } = await load('admin_api_ssl_listen: 0.0.0.0:8444\nadmin_api_token: s3cret')
      expect(config.admin.listenSsl).to.deep.equal({ host: '0.0.0.0', port: 8444 })
      expect((await load('')).config.admin.listenSsl).to.equal(undefined)
    })

    it('two listeners on one port', async () => {
      expect((await faults('admin_api_listen: 127.0.0.1:8000'))[0]).to.match(
        /is the same port as proxy_listen/,
      )
      await load('admin_api_listen: 127.0.0.1:0\nproxy_listen: 127.0.0.1:0')
    })
  })

  describe('shown to people', () => {
    it('has its secrets masked, and is one that could be loaded', async () => {
      const { config } = await load(
        'postgres: {host: db, password: hush}\nadmin_api_tokens: [one, two]\nproxy: {send_timeout: 90s}',
      )
      const masked = maskConfiguration(config) as Record<string, Record<string, unknown>>
      expect(JSON.stringify(masked)).not.to.match(/hush|one|two/)
      expect(masked.postgres).to.include({ host: 'db', user: 'troop', password: '******' })
      expect(masked.admin_api_tokens).to.deep.equal(['******', '******'])
      expect(masked.proxy).to.include({ send_timeout: '90s' })
      expect(masked.proxy_listen).to.equal('0.0.0.0:8000')
    })

    it('tells what a reload applies from what waits for a restart', async () => {
      const before = (await load('workers: 2')).config
      const after = (await load('workers: 3\ntrusted_ips: [10.0.0.1]')).config
      expect(changedSettings(before, after)).to.deep.equal({ applied: ['trusted_ips'], restart: ['workers'] })
      expect(changedSettings(before, before)).to.deep.equal({ applied: [], restart: [] })
    })
  })
})
