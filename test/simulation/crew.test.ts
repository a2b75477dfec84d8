// Many seeds at once, in processes of their own.
import { expect } from 'chai'
import { HiredHand } from './crew.ts'
import { runBlock } from './tally.ts'

describe('a process that runs seeds for another', function () {
  this.timeout(60_000)

  it('finds in each what is found here', async () => {
    const hand = new HiredHand()
    try {
      const sums = [await hand.run({ from: 1, count: 2 }), await hand.run({ from: 3, count: 1 })]
      expect(sums).to.deep.equal([
        await runBlock({ from: 1, count: 2 }),
        await runBlock({ from: 3, count: 1 }),
      ])
      expect(hand.used().cpuMs).to.be.above(0)
    } finally {
      hand.stop()
    }
  })
})
