// sniper: twenty clients that post sniper orders whose trigger is met already, for ten seconds; every fiftieth is followed
// until it is filled. Proves that snipers are taken in, armed and fired by the thousand, and that none is left behind.
import { check } from 'k6';
import { Rate } from 'k6/metrics';
import { post, sniper, STATS, summary } from './orders.js';
import { watch } from './stream.js';

const fired = new Rate('sniper_fired');
export const options = {
  vus: 20,
  duration: __ENV.DURATION || '10s',
  gracefulStop: '40s',
  summaryTrendStats: STATS,
  thresholds: {
    'checks{step:post}': ['rate==1'],
    http_req_failed: ['rate==0'],
    http_req_duration: ['p(95)<150', 'p(99)<300'],
    sniper_fired: ['rate==1'],
  },
};
let sent = 0;
export default function () {
  const orderId = post(sniper(), 'sniper');
  check(orderId, { armed: (id) => id !== null }, { step: 'post' });
  sent += 1;
  if (orderId !== null && sent % 50 === 0) fired.add(watch(orderId).status === 'confirmed');
}
export { summary as handleSummary };
