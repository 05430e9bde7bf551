// Prints the airdropped lamports, both token balances after a transfer, and the transfer's status. The WebSocket is
// looked for where the library looks for it: at the next port.
import { createMint, getAccount, getOrCreateAssociatedTokenAccount, mintTo, transfer } from "@solana/spl-token";
import { Connection, Keypair, LAMPORTS_PER_SOL } from "@solana/web3.js";

const connection = new Connection(process.argv[2], "confirmed");
const payer = Keypair.generate();
const airdrop = await connection.requestAirdrop(payer.publicKey, 5 * LAMPORTS_PER_SOL);
await connection.confirmTransaction({ signature: airdrop, ...(await connection.getLatestBlockhash()) });
console.log(await connection.getBalance(payer.publicKey));
const mint = await createMint(connection, payer, payer.publicKey, null, 6);
const own = await getOrCreateAssociatedTokenAccount(connection, payer, mint, payer.publicKey);
const other = await getOrCreateAssociatedTokenAccount(connection, payer, mint, Keypair.generate().publicKey);
await mintTo(connection, payer, mint, own.address, payer, 1_000_000);
const paid = await transfer(connection, payer, own.address, other.address, payer, 250_000);
for (const account of [own, other]) console.log(String((await getAccount(connection, account.address)).amount));
const { value } = await connection.getSignatureStatuses([paid]);
console.log(["confirmed", "finalized"].includes(value[0].confirmationStatus) ? "confirmed" : "not yet");
process.exit(0);
