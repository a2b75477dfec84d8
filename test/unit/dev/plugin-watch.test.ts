import { expect } from 'chai'
import { PluginWatch } from '../../../src/dev/plugin-watch.ts'
import { ManualClock } from '../../support/manual-clock.ts'

describe('the watch on plugins', () => {
  let clock: ManualClock
  let watch: PluginWatch
  let versions: Record<string, string>
  let folders: string[]
  let stirs: Map<string, () => void>
  let told: number
  let telling: () => Promise<void>

  beforeEach(async () => {
    clock = new ManualClock()
    versions = { './mine.ts': '1' }
    folders = ['/plugins']
    stirs = new Map()
    told = 0
    telling = async () => {}
    watch = new PluginWatch({
      look: async () => ({ versions, folders }),
      watchFolder: (folder, stirred) => {
        stirs.set(folder, stirred)
        return () => stirs.delete(folder)
      },
      changed: () => {
        told++
        return telling()
      },
      clock,
    })
    await watch.start()
  })
  afterEach(() => watch.stop())

  /** Lets what is under way come to its end. */
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  const save = async (version: string, folder = '/plugins') => {
    versions = { './mine.ts': version }
    stirs.get(folder)?.()
    clock.advance(1000)
    await settled()
  }

  it('tells of a change once, however many steps it was written in', async () => {
    versions = { './mine.ts': '2' }
    for (let i = 0; i < 20; i++) {
      stirs.get('/plugins')?.()
      clock.advance(10)
    }
    expect(told).to.equal(0)
    clock.advance(150)
    await settled()
    expect(told).to.equal(1)
  })

  it('says nothing of what left the code as it was', async () => {
    await save('1')
    expect(told).to.equal(0)
  })

  it('follows folders that are new, and lets go of those that are gone', async () => {
    folders = ['/plugins', '/plugins/parts']
    await save('2')
    await save('3', '/plugins/parts')
    folders = ['/plugins']
    await save('4')
    expect({ told, watched: [...stirs.keys()] }).to.deep.equal({ told: 3, watched: ['/plugins'] })
  })

  it('tells of the next change when the one before it has been dealt with, and of the newest only', async () => {
    let finish = () => {}
    telling = () => new Promise((resolve) => (finish = resolve))
    await save('2')
    await save('3')
    await save('4')
    expect(told).to.equal(1)
    finish()
    await settled()
    expect(told).to.equal(2)
    finish()
    await settled()
    expect(told).to.equal(2)
  })

  it('goes on after a change that could not be dealt with', async () => {
    telling = () => Promise.reject(new Error('no'))
    await save('2')
    await save('3')
    expect(told).to.equal(2)
  })

  it('says nothing any more once it is stopped', async () => {
    await watch.stop()
    await save('2')
    expect({ told, watched: stirs.size }).to.deep.equal({ told: 0, watched: 0 })
  })
})
