// SPDX-License-Identifier: Apache-2.0

#include "transport.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAME (64u << 20)
#define MAX_IDLE 16

#define SERVER_UNAVAILABLE HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE)
#define CALL_FAILED HRESULT_FROM_WIN32(RPC_S_CALL_FAILED)

// Buffer is a frame being built or read. Failed sticks: memory ran out, or the
// frame would be too long.
typedef struct {
    char *data;
    uint32_t len, cap;
    BOOL failed;
} Buffer;

static char *buffer_grow(Buffer *b, uint32_t n)
{
    if (!b->failed && n > b->cap - b->len) {
        uint64_t cap = ((uint64_t)b->len + n) * 2;
        char *data = cap > 2ull * MAX_FRAME ? NULL : realloc(b->data, cap);
        b->failed = data == NULL;
        if (data != NULL) {
            b->data = data;
            b->cap = (uint32_t)cap;
        }
    }
    if (b->failed)
        return NULL;
    b->len += n;
    return b->data + b->len - n;
}

static void put_u32(Buffer *b, uint32_t v)
{
    char *p = buffer_grow(b, sizeof v);
    if (p != NULL)
        memcpy(p, &v, sizeof v);
}

static void put_bytes(Buffer *b, const char *s, size_t n)
{
    put_u32(b, (uint32_t)n);
    char *p = buffer_grow(b, (uint32_t)n);
    if (p != NULL)
        memcpy(p, s, n);
}

static void put_wide(Buffer *b, PCWSTR s)
{
    if (s == NULL)
        s = L"";
    int wide = (int)wcslen(s);
    int n = wide == 0 ? 0 : WideCharToMultiByte(CP_UTF8, 0, s, wide, NULL, 0, NULL, NULL);
    put_u32(b, (uint32_t)n);
    char *p = buffer_grow(b, (uint32_t)n);
    if (p != NULL && n > 0)
        WideCharToMultiByte(CP_UTF8, 0, s, wide, p, n, NULL, NULL);
}

static void put_guid(Buffer *b, const GUID *id)
{
    static const GUID zero;
    const GUID *g = id == NULL ? &zero : id;
    char text[37];
    const unsigned char *d = g->Data4;
    int n = snprintf(text, sizeof text, "%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                     (unsigned long)g->Data1, g->Data2, g->Data3,
                     d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
    put_bytes(b, text, (size_t)n);
}

static void put_handle(Buffer *b, void *handle)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)(uintptr_t)handle);
    put_bytes(b, text, (size_t)n);
}

static void frame_begin(Buffer *b)
{
    put_u32(b, 0);
}

static BOOL frame_end(Buffer *b)
{
    if (b->failed || b->len - 4 > MAX_FRAME)
        return FALSE;
    uint32_t n = b->len - 4;
    memcpy(b->data, &n, sizeof n);
    return TRUE;
}

// Connections that no call is using. One that is in use is in no list, so two
// threads never share one.
typedef struct Conn {
    SOCKET socket;
    struct Conn *next;
} Conn;

static SRWLOCK idle_lock = SRWLOCK_INIT;
static Conn *idle;
static int idle_count;
static INIT_ONCE started = INIT_ONCE_STATIC_INIT;

static BOOL CALLBACK start(PINIT_ONCE once, PVOID parameter, PVOID *context)
{
    WSADATA data;
    (void)once, (void)parameter, (void)context;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}

static void conn_close(Conn *c)
{
    closesocket(c->socket);
    free(c);
}

static BOOL send_all(SOCKET s, const char *data, uint32_t len)
{
    while (len > 0) {
        int n = send(s, data, (int)len, 0);
        if (n <= 0)
            return FALSE;
        data += n, len -= (uint32_t)n;
    }
    return TRUE;
}

static BOOL recv_all(SOCKET s, char *data, uint32_t len)
{
    while (len > 0) {
        int n = recv(s, data, (int)len, 0);
        if (n <= 0)
            return FALSE;
        data += n, len -= (uint32_t)n;
    }
    return TRUE;
}

// say_hello names this process, so that the emulator knows whose handles these
// are: a process id alone comes round again.
static BOOL say_hello(SOCKET s)
{
    FILETIME born = {0}, unused;
    char name[48];
    Buffer b = {0};
    GetProcessTimes(GetCurrentProcess(), &born, &unused, &unused, &unused);
    int n = snprintf(name, sizeof name, "%lu@%08lx%08lx", (unsigned long)GetCurrentProcessId(),
                     (unsigned long)born.dwHighDateTime, (unsigned long)born.dwLowDateTime);
    frame_begin(&b);
    put_bytes(&b, "hnsemu/1", 8);
    put_bytes(&b, name, (size_t)n);
    BOOL ok = frame_end(&b) && send_all(s, b.data, b.len);
    free(b.data);
    return ok;
}

// parse_address reads "127.0.0.1:4711" from the environment.
static BOOL parse_address(struct sockaddr_in *to)
{
    char text[64];
    DWORD n = GetEnvironmentVariableA("HNSEMU_ADDR", text, sizeof text);
    char *colon = n > 0 && n < sizeof text ? strrchr(text, ':') : NULL;
    if (colon == NULL)
        return FALSE;
    *colon = 0;
    memset(to, 0, sizeof *to);
    to->sin_family = AF_INET;
    to->sin_port = htons((u_short)atoi(colon + 1));
    to->sin_addr.s_addr = inet_addr(text);
    return to->sin_addr.s_addr != INADDR_NONE;
}

static Conn *conn_open(void)
{
    struct sockaddr_in to;
    int on = 1;
    if (!InitOnceExecuteOnce(&started, start, NULL, NULL) || !parse_address(&to))
        return NULL;
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    Conn *c = s == INVALID_SOCKET ? NULL : malloc(sizeof *c);
    if (c == NULL) {
        closesocket(s);
        return NULL;
    }
    c->socket = s;
    // A child that inherited the socket would keep it open after this process
    // ended, and the emulator would never forget its handles.
    SetHandleInformation((HANDLE)s, HANDLE_FLAG_INHERIT, 0);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (char *)&on, sizeof on);
    if (connect(s, (struct sockaddr *)&to, sizeof to) != 0 || !say_hello(s)) {
        conn_close(c);
        return NULL;
    }
    return c;
}

static Conn *conn_take(void)
{
    AcquireSRWLockExclusive(&idle_lock);
    Conn *c = idle;
    if (c != NULL) {
        idle = c->next;
        idle_count--;
    }
    ReleaseSRWLockExclusive(&idle_lock);
    return c != NULL ? c : conn_open();
}

static void conn_return(Conn *c)
{
    AcquireSRWLockExclusive(&idle_lock);
    BOOL keep = idle_count < MAX_IDLE;
    if (keep) {
        c->next = idle;
        idle = c;
        idle_count++;
    }
    ReleaseSRWLockExclusive(&idle_lock);
    if (!keep)
        conn_close(c);
}

// Text is a field of a reply.
typedef struct {
    const char *data;
    uint32_t len;
} Text;

static BOOL take_text(const char **p, uint32_t *left, Text *t)
{
    if (*left < sizeof t->len)
        return FALSE;
    memcpy(&t->len, *p, sizeof t->len);
    *p += sizeof t->len, *left -= sizeof t->len;
    if (t->len > *left)
        return FALSE;
    t->data = *p;
    *p += t->len, *left -= t->len;
    return TRUE;
}

// give_string hands a text to the caller, who frees it with CoTaskMemFree.
static BOOL give_string(PWSTR *to, Text t)
{
    int n = t.len == 0 ? 0 : MultiByteToWideChar(CP_UTF8, 0, t.data, (int)t.len, NULL, 0);
    PWSTR s = CoTaskMemAlloc(((size_t)n + 1) * sizeof *s);
    if (s == NULL)
        return FALSE;
    if (n > 0)
        MultiByteToWideChar(CP_UTF8, 0, t.data, (int)t.len, s, n);
    s[n] = 0;
    *to = s;
    return TRUE;
}

static HRESULT deliver(Buffer *b, Reply reply)
{
    uint32_t code;
    uint64_t handle;
    Text out, record;
    const char *p = b->data;
    uint32_t left = b->len;
    if (left < sizeof code + sizeof handle)
        return CALL_FAILED;
    memcpy(&code, p, sizeof code);
    memcpy(&handle, p + sizeof code, sizeof handle);
    p += sizeof code + sizeof handle, left -= sizeof code + sizeof handle;
    if (!take_text(&p, &left, &out) || !take_text(&p, &left, &record) || left != 0)
        return CALL_FAILED;
    if (reply.handle != NULL)
        *reply.handle = (void *)(uintptr_t)handle;
    if (reply.out != NULL && (SUCCEEDED((HRESULT)code) || out.len > 0) && !give_string(reply.out, out))
        return E_OUTOFMEMORY;
    if (reply.record != NULL && record.len > 0 && !give_string(reply.record, record))
        return E_OUTOFMEMORY;
    return (HRESULT)code;
}

static HRESULT exchange(Conn *c, Buffer *b)
{
    uint32_t len;
    if (!send_all(c->socket, b->data, b->len) || !recv_all(c->socket, (char *)&len, sizeof len) ||
        len > MAX_FRAME)
        return CALL_FAILED;
    b->len = 0;
    char *p = buffer_grow(b, len);
    if (p == NULL)
        return E_OUTOFMEMORY;
    return recv_all(c->socket, p, len) ? S_OK : CALL_FAILED;
}

static void put_arguments(Buffer *b, const char *kinds, va_list args)
{
    for (; *kinds != 0; kinds++) {
        switch (*kinds) {
        case 'g':
            put_guid(b, va_arg(args, const GUID *));
            break;
        case 's':
            put_wide(b, va_arg(args, PCWSTR));
            break;
        case 'h':
            put_handle(b, va_arg(args, void *));
            break;
        }
    }
}

HRESULT hnsemu_call(const char *proc, Reply reply, const char *kinds, ...)
{
    Buffer b = {0};
    va_list args;
    if (reply.handle != NULL)
        *reply.handle = NULL;
    if (reply.out != NULL)
        *reply.out = NULL;
    if (reply.record != NULL)
        *reply.record = NULL;

    frame_begin(&b);
    put_bytes(&b, proc, strlen(proc));
    va_start(args, kinds);
    put_arguments(&b, kinds, args);
    va_end(args);

    HRESULT result = E_OUTOFMEMORY;
    if (frame_end(&b)) {
        Conn *c = conn_take();
        result = c == NULL ? SERVER_UNAVAILABLE : exchange(c, &b);
        if (result == S_OK) {
            conn_return(c);
            result = deliver(&b, reply);
        } else if (c != NULL) {
            conn_close(c);
        }
    }
    free(b.data);
    return result;
}
