// SPDX-License-Identifier: Apache-2.0
//
// bcryptprimitives.dll: ProcessPrng, without which no Go program starts and
// which Wine has only since version 9.

#include <windows.h>

BOOLEAN WINAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    while (length > 0) {
        ULONG n = length > MAXLONG ? MAXLONG : (ULONG)length;
        if (!SystemFunction036(buffer, n))
            return FALSE;
        buffer += n, length -= n;
    }
    return TRUE;
}
