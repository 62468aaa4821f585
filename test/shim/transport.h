// SPDX-License-Identifier: Apache-2.0
//
// The way from an exported function to the emulator: see package
// pkg/hnsemu/wire for the format.

#ifndef HNSEMU_TRANSPORT_H
#define HNSEMU_TRANSPORT_H

#include <winsock2.h>
#include <windows.h>

// Reply says where a function's out-parameters go. A NULL pointer is an
// out-parameter that the function does not have, or that its caller left out.
typedef struct {
    void **handle;
    PWSTR *out;
    PWSTR *record;
} Reply;

// hnsemu_call sends a call of the export proc and returns its HRESULT. kinds
// has a letter for each argument that follows: 'g' a const GUID *, 's' a PCWSTR,
// 'h' a handle. Every out-parameter is written, whatever happens: strings and
// handles are NULL unless the emulator answered with one, and out is always a
// string when the call succeeded.
HRESULT hnsemu_call(const char *proc, Reply reply, const char *kinds, ...);

#endif
