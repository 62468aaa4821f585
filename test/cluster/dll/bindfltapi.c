// SPDX-License-Identifier: Apache-2.0
//
// bindfltapi.dll: bindings of folders, of which containerd asks for none that matter here.

#include <windows.h>

__declspec(dllexport) HRESULT WINAPI BfSetupFilter(HANDLE job, ULONG flags, PCWSTR root, PCWSTR target, PCWSTR *except, ULONG n)
{
    (void)job, (void)flags, (void)root, (void)target, (void)except, (void)n;
    return S_OK;
}

__declspec(dllexport) HRESULT WINAPI BfRemoveMapping(HANDLE job, PCWSTR root)
{
    (void)job, (void)root;
    return S_OK;
}
