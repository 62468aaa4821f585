// SPDX-License-Identifier: Apache-2.0
//
// computenetwork.dll: the Host Compute Network API (Microsoft's
// ComputeNetwork.h), every call of it passed on to the emulator.

#include "transport.h"

#define EXPORT(name) __declspec(dllexport) HRESULT WINAPI name
#define CALL(name, ...) return hnsemu_call(#name, __VA_ARGS__)
#define INTO(handle, out, record) (Reply){handle, out, record}

#define OBJECT(X, Plural)                                                                        \
    EXPORT(HcnEnumerate##Plural)(PCWSTR query, PWSTR *out, PWSTR *record)                        \
    {                                                                                            \
        CALL(HcnEnumerate##Plural, INTO(NULL, out, record), "s", query);                         \
    }                                                                                            \
    EXPORT(HcnOpen##X)(const GUID *id, void **handle, PWSTR *record)                             \
    {                                                                                            \
        CALL(HcnOpen##X, INTO(handle, NULL, record), "g", id);                                   \
    }                                                                                            \
    EXPORT(HcnModify##X)(void *handle, PCWSTR settings, PWSTR *record)                           \
    {                                                                                            \
        CALL(HcnModify##X, INTO(NULL, NULL, record), "hs", handle, settings);                    \
    }                                                                                            \
    EXPORT(HcnQuery##X##Properties)(void *handle, PCWSTR query, PWSTR *out, PWSTR *record)       \
    {                                                                                            \
        CALL(HcnQuery##X##Properties, INTO(NULL, out, record), "hs", handle, query);             \
    }                                                                                            \
    EXPORT(HcnDelete##X)(const GUID *id, PWSTR *record)                                          \
    {                                                                                            \
        CALL(HcnDelete##X, INTO(NULL, NULL, record), "g", id);                                   \
    }                                                                                            \
    EXPORT(HcnClose##X)(void *handle)                                                            \
    {                                                                                            \
        CALL(HcnClose##X, INTO(NULL, NULL, NULL), "h", handle);                                  \
    }

#define CREATE(X)                                                                                \
    EXPORT(HcnCreate##X)(const GUID *id, PCWSTR settings, void **handle, PWSTR *record)          \
    {                                                                                            \
        CALL(HcnCreate##X, INTO(handle, NULL, record), "gs", id, settings);                      \
    }

OBJECT(Network, Networks)
OBJECT(Endpoint, Endpoints)
OBJECT(Namespace, Namespaces)
OBJECT(LoadBalancer, LoadBalancers)
OBJECT(SdnRoute, SdnRoutes)

CREATE(Network)
CREATE(Namespace)
CREATE(LoadBalancer)
CREATE(SdnRoute)

EXPORT(HcnCreateEndpoint)(void *network, const GUID *id, PCWSTR settings, void **handle, PWSTR *record)
{
    CALL(HcnCreateEndpoint, INTO(handle, NULL, record), "hgs", network, id, settings);
}
