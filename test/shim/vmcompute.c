// SPDX-License-Identifier: Apache-2.0
//
// vmcompute.dll: HNSCall, the older interface of HNS. The Host Compute Service
// calls that the real library has, too, are not here.

#include "transport.h"

__declspec(dllexport) HRESULT WINAPI HNSCall(PCWSTR method, PCWSTR path, PCWSTR object, PWSTR *response)
{
    return hnsemu_call("HNSCall", (Reply){NULL, response, NULL}, "sss", method, path, object);
}
