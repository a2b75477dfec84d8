// Certificates of the TLS listener as files: those that are named, and those that the node makes.

import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { LogFields } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { loadConfig } from '../../src/config/config.ts'
import { certificateFaults, givenPair, ownPair, readAuthorities } from '../../src/node/certificates.ts'
import { makeSelfSigned } from '../../src/node/self-signed.ts'
import { workingDirAt } from '../../src/node/working-dir.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { collect } from '../support/gateway.ts'
import { ManualClock } from '../support/manual-clock.ts'

const dayMs = 24 * 60 * 60 * 1000

describe('certificates of the listener', () => {
  let dir: string
  let lines: { sentence: string; fields: LogFields }[]
  let clock: ManualClock

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'troop-certificates-'))
    lines = []
    clock = new ManualClock()
    clock.advance(Date.UTC(2027, 0, 1))
  })
  afterEach(() => rm(dir, { recursive: true }))

  const surroundings = () => ({ clock, random: systemRandom, logger: collect(lines) })

  async function file(name: string, text: string): Promise<string> {
    await writeFile(join(dir, name), text)
    return join(dir, name)
  }

  describe('that are named', () => {
    it('are read as they are', async () => {
      const pair = await givenPair(
        'ssl',
        await file('c.pem', certificate),
        await file('k.pem', certificateKey),
        surroundings(),
      )
      expect(pair).to.deep.equal({ certificate, key: certificateKey })
      expect(lines).to.deep.equal([])
    })

    const passphrase = { cipher: 'aes-256-cbc', passphrase: 'x', type: 'pkcs8', format: 'pem' } as const
    const locked = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(passphrase).toString()
    const other = makeSelfSigned({ validFrom: 0, validTo: 1, serial: '00' })
    const faults: Record<string, [certificate: string, key: string, message: RegExp]> = {
      'a certificate that is none': [
        'hello',
        certificateKey,
        /^ssl_cert_path: \S+c\.pem holds no certificate in PEM$/,
      ],
      'a key in its place': [
        certificateKey,
        certificateKey,
        /^ssl_cert_path: \S+c\.pem holds no certificate in PEM$/,
      ],
      'a key that is none': [
        certificate,
        certificate,
        /^ssl_key_path: \S+k\.pem holds no private key in PEM$/,
      ],
      'the key of another certificate': [
        certificate,
        other.key,
        /^ssl_key_path: \S+k\.pem is not the key of the certificate in \S+c\.pem$/,
      ],
      'a key that needs a passphrase': [
        certificate,
        locked,
        /^ssl_key_path: \S+k\.pem is protected by a passphrase$/,
      ],
      'a chain of which the second part is none': [
        `${certificate}${certificate.replace('MIIB', 'MIIC')}`,
        certificateKey,
        /^ssl_cert_path: \S+c\.pem is refused by TLS$/,
      ],
    }
    for (const [what, [certificate, key, message]] of Object.entries(faults)) {
      it(`${what}: refused with setting, file and reason`, async () => {
        const refused = givenPair(
          'ssl',
          await file('c.pem', certificate),
          await file('k.pem', key),
          surroundings(),
        )
        const error = await refused.catch((thrown) => thrown)
        expect(error).to.include({ code: 'certificate-unusable' })
        expect(error.message).to.match(message)
      })
    }

    it('a file that cannot be read is refused', async () => {
      const refused = givenPair('ssl', join(dir, 'c.pem'), join(dir, 'k.pem'), surroundings())
      const error = await refused.catch((thrown) => thrown)
      expect(error.message).to.equal(`ssl_cert_path: ${dir}/c.pem cannot be read`)
    })

    it('one that has expired is served, with a warning', async () => {
      const { certificate, key } = makeSelfSigned({ validFrom: 0, validTo: clock.now() - 1000, serial: '00' })
      const path = await file('c.pem', certificate)
      await givenPair('ssl', path, await file('k.pem', key), surroundings())
      const fields = { path, expiresAt: '2026-12-31T23:59:59.000Z' }
      expect(lines).to.deep.equal([{ sentence: 'the certificate has expired', fields }])
    })
  })

  describe('that the node makes', () => {
    const own = () => ownPair(workingDirAt(dir), surroundings())

    it('are made once and kept, the key for nobody else to read', async () => {
      const made = await own()
      expect(await own()).to.deep.equal(made)
      expect(await readFile(join(dir, 'ssl', 'troop-default.crt'), 'utf8')).to.equal(made.certificate)
      const { mode } = await stat(join(dir, 'ssl', 'troop-default.key'))
      expect(mode & 0o777).to.equal(0o600)
      const { validFromDate, validToDate } = new X509Certificate(made.certificate)
      expect(
        [validFromDate, validToDate].map((date) => (date.getTime() - clock.now()) / dayMs),
      ).to.deep.equal([-1, 3650])
      expect(lines.map(({ sentence }) => sentence)).to.deep.equal(['a certificate was made'])
    })

    it('are made anew when one of the two is missing, or they are about to expire', async () => {
      const first = await own()
      await rm(join(dir, 'ssl', 'troop-default.key'))
      const second = await own()
      expect(second.certificate).not.to.equal(first.certificate)
      clock.advance(3621 * dayMs)
      const third = await own()
      expect(third.certificate).not.to.equal(second.certificate)
      expect(new X509Certificate(third.certificate).validFromDate.getTime()).to.equal(clock.now() - dayMs)
    })

    it('are refused with the remedy when somebody broke them', async () => {
      await own()
      await writeFile(join(dir, 'ssl', 'troop-default.crt'), 'hello')
      const error = await own().catch((thrown) => thrown)
      expect(error).to.include({
        code: 'certificate-unusable',
        hint: 'remove it: the node makes another pair',
      })
      expect(error.message).to.equal(`working_dir: ${dir}/ssl/troop-default.crt holds no certificate in PEM`)
    })
  })

  it('all that is wrong with the files of a configuration is told at once', async () => {
    const [cert, key, other] = [
      await file('c.pem', certificate),
      await file('k.pem', certificateKey),
      await file('o.pem', makeSelfSigned({ validFrom: 0, validTo: 1, serial: '00' }).key),
    ]
    const settings = (keyPath: string, caPath: string) => ({
      ...{ TROOP_SSL_CERT_PATH: cert, TROOP_SSL_KEY_PATH: key },
      ...{ TROOP_ADMIN_API_SSL_CERT_PATH: cert, TROOP_ADMIN_API_SSL_KEY_PATH: keyPath },
      TROOP_PROXY_UPSTREAM_CERTIFICATE_AUTHORITY: caPath,
    })
    const faults = async (env: Record<string, string>) =>
      certificateFaults((await loadConfig({ path: await file('troop.yml', ''), env })).config, surroundings())
    expect(await faults(settings(key, cert))).to.deep.equal([])
    expect(await faults(settings(other, key))).to.deep.equal([
      { property: 'admin_api_ssl_key_path', reason: `${other} is not the key of the certificate in ${cert}` },
      {
        property: 'proxy.upstream_certificate_authority',
        reason: `${key} holds no certificate in PEM`,
      },
    ])
  })

  it('authorities are refused by the setting that names them', async () => {
    const setting = 'proxy.upstream_certificate_authority'
    expect(await readAuthorities({ setting, path: await file('ca.pem', certificate) })).to.equal(certificate)
    const path = await file('not.pem', 'hello')
    const error = await readAuthorities({ setting, path }).catch((thrown) => thrown)
    expect(error.message).to.equal(`${setting}: ${path} holds no certificate in PEM`)
  })
})
