import { expect } from 'chai'
import { findAccount, mayEnter } from '../../../src/database/embedded-account.ts'

describe('the account of the embedded server', () => {
  const passwd = [
    'root:x:0:0:root:/root:/bin/sh',
    'nobody:x:65534:65533:nobody:/:/sbin/nologin',
    'postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/sh',
  ]

  it('is postgres where there is one', () => {
    expect(findAccount(passwd.join('\n'))).to.deep.equal({ name: 'postgres', uid: 101, gid: 104 })
  })

  it('is nobody where there is no postgres', () => {
    expect(findAccount(passwd.slice(0, 2).join('\n'))).to.deep.equal({
      name: 'nobody',
      uid: 65534,
      gid: 65533,
    })
  })

  it('is none where the system has neither', () => {
    expect(findAccount(`${passwd[0]}\n`)).to.equal(undefined)
  })

  it('may enter what its own class of permissions allows, and no other class counts', () => {
    const account = { name: 'postgres', uid: 101, gid: 104 }
    const cases = [
      [{ uid: 101, gid: 0, mode: 0o40700 }, true],
      [{ uid: 101, gid: 0, mode: 0o40077 }, false],
      [{ uid: 0, gid: 104, mode: 0o40710 }, true],
      [{ uid: 0, gid: 104, mode: 0o40705 }, false],
      [{ uid: 0, gid: 0, mode: 0o40701 }, true],
      [{ uid: 0, gid: 0, mode: 0o40770 }, false],
    ] as const
    for (const [permissions, may] of cases) {
      expect(mayEnter(permissions, account), permissions.mode.toString(8)).to.equal(may)
    }
  })
})
