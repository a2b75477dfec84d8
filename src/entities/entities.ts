// The entities that Troop itself has; plugins add their own.
import { api } from './api.ts'
import { consumer } from './consumer.ts'
import type { Entity } from './define.ts'
import { plugin } from './plugin.ts'

export const coreEntities: readonly Entity[] = [api, consumer, plugin]
