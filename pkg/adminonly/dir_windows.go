// SPDX-License-Identifier: Apache-2.0

package adminonly

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// rights gives SYSTEM, Administrators and who makes the directory everything, and nobody
// else anything, here and below; the directory above adds nothing (Microsoft, "Security
// Descriptor Definition Language": P protects the list, OICI hands the entries down).
const rights = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;%s)"

func mkdir(path string) error {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("read who runs this: %w", err)
	}
	sd, err := windows.SecurityDescriptorFromString(fmt.Sprintf(rights, user.User.Sid))
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: sd}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	return windows.CreateDirectory(name, &attributes)
}

// check refuses a directory that is a link, or that belongs neither to SYSTEM nor to
// Administrators nor to Windows itself nor to who runs this.
func check(path string) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	attributes, err := windows.GetFileAttributes(name)
	if err != nil {
		return fmt.Errorf("read the attributes of %s: %w", path, err)
	}
	if attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		return link(path)
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("read the owner of %s: %w", path, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("read the owner of %s: %w", path, err)
	}
	trusted := []windows.WELL_KNOWN_SID_TYPE{windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid}
	for _, t := range trusted {
		if owner.IsWellKnown(t) {
			return nil
		}
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("read who runs this: %w", err)
	}
	if owner.Equals(user.User.Sid) || owner.String() == trustedInstaller {
		return nil
	}
	return fmt.Errorf("%w: %s belongs to %s; give it to Administrators (takeown /A /R /F) and take others' rights away (icacls /inheritance:r)", ErrUnsafe, path, owner)
}

// trustedInstaller owns what Windows came with.
const trustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
