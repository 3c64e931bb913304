export { startFleet } from './fleet/start-fleet.ts'
export { services } from './services/index.ts'
export { runTool } from './tool.ts'
