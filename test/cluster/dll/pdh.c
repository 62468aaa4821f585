// SPDX-License-Identifier: Apache-2.0
//
// pdh.dll: performance counters, as far as kubelet asks for them. Each is 1, of one
// instance.

#include <windows.h>
#include <string.h>

#define MORE_DATA 0x800007D2
#define EXPORT(name) __declspec(dllexport) LONG WINAPI name

typedef struct { DWORD status; double value; } Value;
typedef struct { PWSTR name; Value value; } Item;

EXPORT(PdhOpenQuery)(void *source, DWORD_PTR user, HANDLE *query)
{
    (void)source, (void)user;
    *query = (HANDLE)1;
    return 0;
}

EXPORT(PdhOpenQueryW)(void *source, DWORD_PTR user, HANDLE *query)
{
    return PdhOpenQuery(source, user, query);
}

EXPORT(PdhCloseQuery)(HANDLE query)
{
    (void)query;
    return 0;
}

EXPORT(PdhAddCounterW)(HANDLE query, PCWSTR path, DWORD_PTR user, HANDLE *counter)
{
    (void)query, (void)path, (void)user;
    *counter = (HANDLE)1;
    return 0;
}

EXPORT(PdhAddEnglishCounterW)(HANDLE query, PCWSTR path, DWORD_PTR user, HANDLE *counter)
{
    return PdhAddCounterW(query, path, user, counter);
}

EXPORT(PdhCollectQueryData)(HANDLE query)
{
    (void)query;
    return 0;
}

EXPORT(PdhValidatePathW)(PCWSTR path)
{
    (void)path;
    return 0;
}

EXPORT(PdhGetFormattedCounterValue)(HANDLE counter, DWORD format, DWORD *type, Value *value)
{
    (void)counter, (void)format;
    if (type)
        *type = 0;
    value->status = 0;
    value->value = 1;
    return 0;
}

EXPORT(PdhGetFormattedCounterArrayW)(HANDLE counter, DWORD format, DWORD *size, DWORD *count, Item *items)
{
    static const WCHAR name[] = L"Ethernet";
    DWORD need = sizeof(Item) + sizeof name;

    (void)counter, (void)format;
    *count = 1;
    if (*size < need) {
        *size = need;
        return MORE_DATA;
    }
    items[0].name = (PWSTR)(items + 1);
    memcpy(items + 1, name, sizeof name);
    items[0].value.status = 0;
    items[0].value.value = 1;
    return 0;
}
