import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { expect } from 'chai'
import { makeSelfSigned } from '../../../src/node/self-signed.ts'
import { requireProgram } from '../../support/program.ts'

describe('a self-signed certificate', () => {
  const validFrom = Date.UTC(2026, 0, 2, 3, 4, 5)
  const validTo = Date.UTC(2051, 11, 31, 23, 59, 58)
  const pair = makeSelfSigned({ validFrom, validTo, serial: 'ff'.repeat(16) })
  const parsed = new X509Certificate(pair.certificate)

  it('has the subject of the contract, and signs itself with the key beside it', () => {
    const subject = 'C=US\nST=California\nL=San Francisco\nO=Troop\nOU=IT Department\nCN=localhost'
    expect(parsed).to.include({ subject, issuer: subject, ca: false })
    expect(parsed.verify(parsed.publicKey)).to.equal(true)
    expect(parsed.publicKey.asymmetricKeyDetails).to.deep.equal({ namedCurve: 'prime256v1' })
  })

  it('is for localhost by name and address, for servers, and for its time, also beyond 2049', () => {
    expect(parsed.subjectAltName).to.equal('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1')
    expect(parsed.checkHost('localhost')).to.equal('localhost')
    expect(parsed.checkIP('::1')).to.equal('::1')
    expect(parsed.keyUsage).to.deep.equal(['1.3.6.1.5.5.7.3.1'])
    expect(parsed.validFromDate.getTime()).to.equal(validFrom)
    expect(parsed.validToDate.getTime()).to.equal(validTo)
  })

  it('has a positive serial number of its own, and a key of its own', () => {
    expect(parsed.serialNumber).to.equal(`01${'FF'.repeat(16)}`)
    const other = makeSelfSigned({ validFrom, validTo, serial: '00'.repeat(16) })
    expect(new X509Certificate(other.certificate).serialNumber).to.equal(`01${'00'.repeat(16)}`)
    expect(other.key).not.to.equal(pair.key)
  })

  it('is written as DER asks for: OpenSSL reads it and writes it back as it was', function () {
    const program = requireProgram(this, 'openssl')
    const openssl = (args: string[], input: string) => execFileSync(program, args, { input }).toString()
    expect(openssl(['x509'], pair.certificate)).to.equal(pair.certificate)
    const text = openssl(['x509', '-noout', '-text'], pair.certificate)
    for (const part of ['Version: 3', 'ecdsa-with-SHA256', 'CA:FALSE']) expect(text).to.include(part)
  })
})
