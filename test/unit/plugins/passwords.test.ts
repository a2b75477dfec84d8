// How basic-auth keeps and checks passwords, without a gateway.
import { expect } from 'chai'
import type { Row } from '../../../src/base/json.ts'
import type { LogFields } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import {
  decoy,
  hashPassword,
  isHashed,
  isOldPassword,
  isPassword,
} from '../../../src/plugins/basic-auth/password-hash.ts'
import { Passwords } from '../../../src/plugins/basic-auth/passwords.ts'
import { Refusal, type Writer } from '../../../src/plugins/plugin.ts'
import { noWriter } from '../../../src/testing/data-plane.ts'
import { testCounters } from '../../support/counters.ts'
import { collect } from '../../support/gateway.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { cheapHash, oldHash } from '../../support/passwords.ts'

describe('a stored password', () => {
  it('is hashed anew each time, and matched by itself alone', async () => {
    const [one, two] = await Promise.all([
      hashPassword('sésame', systemRandom),
      hashPassword('sésame', systemRandom),
    ])
    expect(one).match(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
    expect(one).not.equal(two)
    expect(await Promise.all([isPassword('sésame', one), isPassword('sesame', one)])).deep.equal([
      true,
      false,
    ])
  })

  it('is what the reference implementation of argon2 makes of it', async () => {
    const stored = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4'
    expect(await isPassword('password', stored)).equal(true)
    expect(await isPassword('differentpassword', stored)).equal(false)
  })

  it('that asks for too much, or is cut, is none', () => {
    const good = cheapHash('x')
    expect(isHashed(good)).equal(true)
    const bad = [
      good.replace('m=8,', 'm=7,'),
      good.replace('m=8,', 'm=2000000,'),
      good.replace('t=1,', 't=0,'),
      good.replace('t=1,', 't=101,'),
      good.replace('p=1$', 'p=17$'),
      good.replace('argon2id', 'argon2i'),
      good.replace('v=19', 'v=16'),
      good.slice(0, -30),
      good.replace(/\$[^$]*\$([^$]*)$/, '$c2FsdA$$$1'),
      `x${good}`,
      'clear',
      null,
    ]
    for (const stored of bad) expect(isHashed(stored), String(stored)).equal(false)
  })

  it('of 0.8 is the SHA-1 of it and the id of its consumer', () => {
    const id = '4c5d0a3e-1111-4111-8111-111111111111'
    const stored = '2ac4ff2136bc8815f28b0e341c685e88383f6111'
    // As sha1sum has it.
    expect(isOldPassword('sesame', stored, id)).equal(true)
    expect(oldHash('sesame', id)).equal(stored)
    expect(isOldPassword('Sesame', stored, id)).equal(false)
    expect(isOldPassword('sesame', oldHash('sesame', 'another'), id)).equal(false)
    expect(isOldPassword('sesame', stored.toUpperCase(), id)).equal(false)
  })

  it('that nothing matches looks like any other', async () => {
    const stored = decoy(systemRandom)
    expect(stored.replace(/\$[^$]*\$[^$]*$/, '')).equal('$argon2id$v=19$m=19456,t=2,p=1')
    expect(await isPassword('', stored)).equal(false)
  })
})

describe('passwords', () => {
  const consumer_id = '4c5d0a3e-1111-4111-8111-111111111111'
  let passwords: Passwords
  let clock: ManualClock
  let lines: { sentence: string; fields: LogFields }[]
  let updates: Parameters<Writer['update']>[]
  let fails: boolean

  beforeEach(() => {
    clock = new ManualClock()
    lines = []
    updates = []
    fails = false
    const writer: Writer = {
      ...noWriter,
      async update(...update) {
        updates.push(update)
        if (fails) throw new Error('away')
        return true
      },
    }
    const host = { clock, logger: collect(lines), random: systemRandom, counters: testCounters(), writer }
    passwords = new Passwords(host)
  })

  const row = (password: string | null): Row => ({ id: 'row', consumer_id, username: 'bob', password })

  it('are hashed once for each: the next answer comes at once, right or wrong', async () => {
    const credential = row(cheapHash('sesame'))
    for (const [password, isRight] of [
      ['sesame', true],
      ['wrong', false],
    ] as const) {
      const first = passwords.isRight(credential, 'bob', password)
      expect(first).instanceOf(Promise)
      expect(passwords.isRight(credential, 'bob', password), 'asked at once').equal(first)
      expect(await first).equal(isRight)
      expect(passwords.isRight(credential, 'bob', password)).equal(isRight)
    }
  })

  it('are asked about anew when the row has another one', async () => {
    expect(await passwords.isRight(row(cheapHash('sesame')), 'bob', 'sesame')).equal(true)
    const other = row(cheapHash('another'))
    expect(await passwords.isRight(other, 'bob', 'sesame')).equal(false)
    expect(await passwords.isRight(other, 'bob', 'another')).equal(true)
    expect(await passwords.isRight(null, 'bob', 'another')).equal(false)
    expect(passwords.isRight(row(cheapHash('sesame')), 'bob', 'sesame')).equal(true)
  })

  it('are remembered for the name that they were shown with, found or not', async () => {
    expect(await passwords.isRight(null, 'eve', 'sesame')).equal(false)
    expect(passwords.isRight(null, 'eve', 'sesame')).equal(false)
    expect(passwords.isRight(null, 'bob', 'sesame')).instanceOf(Promise)
  })

  it('match nothing where a row has none, or what is no hash', async () => {
    for (const stored of [null, 'sesame', '']) {
      expect(await passwords.isRight(row(stored), 'bob', 'sesame'), String(stored)).equal(false)
    }
  })

  it('that wait are so many; more are told to come again', async () => {
    const credential = row(cheapHash('sesame'))
    const asked = Array.from({ length: 251 }, (_, i) => passwords.isRight(credential, 'bob', `wrong ${i}`))
    const refusal = (() => {
      try {
        return passwords.isRight(credential, 'bob', 'sesame')
      } catch (error) {
        return error
      }
    })()
    expect(refusal).instanceOf(Refusal)
    expect((refusal as Refusal).answer).deep.include({ status: 503, headers: { 'Retry-After': '1' } })
    expect(new Set(await Promise.all(asked))).deep.equal(new Set([false]))
    expect(await passwords.isRight(credential, 'bob', 'sesame')).equal(true)
  })

  describe('of 0.8', () => {
    it('are right at once, and put into the form of today, if the row is still as it was', async () => {
      const old = oldHash('sesame', consumer_id)
      expect(passwords.isRight(row(old), 'bob', 'sesame')).equal(true)
      expect(passwords.isRight(row(old), 'bob', 'sesame')).equal(true)
      await passwords.stop()
      expect(updates).length(1)
      const [entity, where, values] = updates[0] as (typeof updates)[number]
      expect([entity.name, where]).deep.equal(['basicauth_credentials', { id: 'row', password: old }])
      expect(await passwords.isRight(row(String(values.password)), 'bob', 'sesame')).equal(true)
    })

    it('stay as they are when another one is shown', async () => {
      expect(await passwords.isRight(row(oldHash('sesame', consumer_id)), 'bob', 'wrong')).equal(false)
      await passwords.stop()
      expect(updates).length(0)
    })

    it('are tried again ten seconds after they could not be written, and served all the same', async () => {
      const credential = row(oldHash('sesame', consumer_id))
      fails = true
      const use = async () => {
        expect(passwords.isRight(credential, 'bob', 'sesame')).equal(true)
        await passwords.stop()
        return updates.length
      }
      expect([await use(), await use()]).deep.equal([1, 1])
      expect(lines.map(({ sentence }) => sentence)).deep.equal(['a password stays hashed by SHA-1 for now'])
      await clock.advance(10_000)
      expect(await use()).equal(2)
    })
  })
})
