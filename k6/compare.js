// compare: one order, posted over and over to any engine: at RATE a second, or by VUS clients without a pause.
// Every SAMPLE-th accepted order is written to the console as its id, for whoever waits until they have ended.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { STATS, summary } from './orders.js';

const rate = Number(__ENV.RATE || 0);
const duration = __ENV.DURATION || '20s';
export const options = {
  scenarios: {
    compare: rate
      ? { executor: 'constant-arrival-rate', rate, timeUnit: '1s', duration, preAllocatedVUs: Math.min(200, Math.max(10, rate)), maxVUs: 1000 }
      : { executor: 'constant-vus', vus: Number(__ENV.VUS || 50), duration },
  },
  summaryTrendStats: STATS,
};
const accepted = new Counter('orders_accepted');
const sample = Number(__ENV.SAMPLE || 20);
const params = { headers: Object.assign({ 'Content-Type': 'application/json' }, JSON.parse(__ENV.HEADERS || '{}')) };
export default function () {
  const answer = http.post(`${__ENV.BASE_URL}${__ENV.ORDER_PATH}`, __ENV.BODY, params);
  if (answer.status < 200 || answer.status > 299) return;
  accepted.add(1);
  if (exec.scenario.iterationInTest % sample !== 0) return;
  const id = answer.json(__ENV.ORDER_ID);
  if (id !== undefined) console.log(id);
}
export { summary as handleSummary };
