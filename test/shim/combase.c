// SPDX-License-Identifier: Apache-2.0
//
// combase.dll: the memory that HNS hands out. Wine's takes the window manager along,
// which Windows' does not, and with it 25 ms of every program's time.

#define WIN32_LEAN_AND_MEAN // without what it says of these functions itself
#include <windows.h>

__declspec(dllexport) void *WINAPI CoTaskMemAlloc(SIZE_T size)
{
    return HeapAlloc(GetProcessHeap(), 0, size);
}

__declspec(dllexport) void WINAPI CoTaskMemFree(void *memory)
{
    if (memory != NULL)
        HeapFree(GetProcessHeap(), 0, memory);
}
