// SPDX-License-Identifier: Apache-2.0

// Package wire carries native calls to the emulator from another process, over
// TCP on this machine, in a format that a few lines of C can speak. It decides
// nothing about HNS: calls go to a Host as they come, and faults of the Host
// become what a client of a real service would see.
//
// # Format
//
// Integers are unsigned and little endian. Both sides send frames: a u32 length
// of at most 64 MiB, then that many bytes. A field is a u32 length and that many
// bytes of UTF-8; a frame made of fields has nothing before, between or after
// them.
//
//	hello    client to server, once, not answered
//	         field "hnsemu/1", field client name
//	request  client to server
//	         field proc, then a field for each argument
//	reply    server to client, one for each request, in order
//	         u32 HRESULT, u64 handle, field out, field record
//
// The client name stands for the calling process: handles belong to it. A
// process may have any number of connections under its name, one for each call
// that is on its way; when the last of them ends, the Host forgets the client,
// as RPC does when a process dies. A call whose connection ends is given up. A
// server that closes the connection instead of replying says that the call was
// cut off.
//
// Arguments are those of hnsemu.Call: GUIDs and strings as text, handles in
// decimal. A proc that starts with "hnsemu." is no native call but a method of
// hnsemu.Control: its arguments are JSON, out is its result as JSON, and an
// error is HRESULT 0x80004005 with the text in record.
package wire
