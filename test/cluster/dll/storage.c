// SPDX-License-Identifier: Apache-2.0
//
// The storage functions of vmcompute.dll, as much as containerd's windows snapshotter and
// differ call of them for an image layer of folders.

#include <windows.h>
#include <stdio.h>

enum { LONGEST = 4096 };

static HRESULT touch(PCWSTR dir, PCWSTR name)
{
    WCHAR path[LONGEST];
    HANDLE f;

    _snwprintf(path, LONGEST - 1, L"%ls\\%ls", dir, name);
    path[LONGEST - 1] = 0;
    f = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (f == INVALID_HANDLE_VALUE)
        return HRESULT_FROM_WIN32(GetLastError());
    CloseHandle(f);
    return S_OK;
}

__declspec(dllexport) HRESULT WINAPI ProcessBaseImage(PCWSTR path)
{
    HRESULT hr = touch(path, L"blank-base.vhdx");
    return FAILED(hr) ? hr : touch(path, L"blank.vhdx");
}

__declspec(dllexport) HRESULT WINAPI ProcessUtilityImage(PCWSTR path)
{
    return touch(path, L"SystemTemplate.vhdx");
}

static HRESULT remove_tree(PCWSTR path)
{
    WCHAR sub[LONGEST];
    WIN32_FIND_DATAW found;
    HANDLE f;

    _snwprintf(sub, LONGEST - 1, L"%ls\\*", path);
    sub[LONGEST - 1] = 0;
    f = FindFirstFileW(sub, &found);
    if (f != INVALID_HANDLE_VALUE) {
        do {
            if (!wcscmp(found.cFileName, L".") || !wcscmp(found.cFileName, L".."))
                continue;
            _snwprintf(sub, LONGEST - 1, L"%ls\\%ls", path, found.cFileName);
            sub[LONGEST - 1] = 0;
            if (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY)
                remove_tree(sub);
            else
                DeleteFileW(sub);
        } while (FindNextFileW(f, &found));
        FindClose(f);
    }
    return RemoveDirectoryW(path) ? S_OK : HRESULT_FROM_WIN32(GetLastError());
}

typedef struct { int flavour; PCWSTR home; } DriverInfo;

__declspec(dllexport) HRESULT WINAPI DestroyLayer(const DriverInfo *info, PCWSTR id)
{
    WCHAR path[LONGEST];

    if (info->home == NULL || *info->home == 0)
        return remove_tree(id); // the whole path
    _snwprintf(path, LONGEST - 1, L"%ls\\%ls", info->home, id);
    path[LONGEST - 1] = 0;
    return remove_tree(path);
}

__declspec(dllexport) HRESULT WINAPI DeactivateLayer(const DriverInfo *info, PCWSTR id)
{
    (void)info, (void)id;
    return S_OK;
}
