"""The scripts that a Windows host runs for a target of ours, for Windows PowerShell 5.1.

What is secret is touched by methods of .NET only: a command's parameters may be logged (event 4103), and there is no file. Each
script tells `Done`, and where that is false, what Windows said and its number (HRESULT).
"""

_GUARDED = """
try {
%s
} catch { @{ Done = $false; Message = $_.Exception.Message; Number = $_.Exception.HResult } }
"""
_KEY_FILE = r"""
function Find-KeyFile($certificate) {
  $private = [Security.Cryptography.X509Certificates.RSACertificateExtensions]::GetRSAPrivateKey($certificate)
  if (-not $private) {
    $private = [Security.Cryptography.X509Certificates.ECDsaCertificateExtensions]::GetECDsaPrivateKey($certificate)
  }
  $name = $(if ($private -is [Security.Cryptography.RSACryptoServiceProvider]) {
    $private.CspKeyContainerInfo.UniqueKeyContainerName
  } elseif ($private) { $private.Key.UniqueName })
  foreach ($folder in 'Microsoft\Crypto\Keys', 'Microsoft\Crypto\RSA\MachineKeys', 'Microsoft\Crypto\SystemKeys') {
    $file = Join-Path (Join-Path $env:ProgramData $folder) ([string] $name)
    if ($name -and (Test-Path -LiteralPath $file -PathType Leaf)) { return $file }
  }
}
"""
_USED = r"""
function Get-UsedHashes {
  foreach ($kind in 'SslBindingInfo', 'SslSniBindingInfo') {
    $base = 'HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\' + $kind
    if (-not (Test-Path -LiteralPath $base)) { continue }
    foreach ($each in @(Get-ChildItem -LiteralPath $base)) {
      $hash = $each.GetValue('SslCertHash')
      if ($hash) { [BitConverter]::ToString($hash).Replace('-', '') }
    }
  }
  foreach ($each in @(Get-CimInstance -Namespace root/cimv2/TerminalServices -ClassName Win32_TSGeneralSetting)) {
    [string] $each.SSLCertificateSHA1Hash
  }
}
"""

STAGE = (
    _KEY_FILE
    + _GUARDED
    % r"""
  $place = 'Cert:\LocalMachine\' + $asked.store
  $present = Get-ChildItem -LiteralPath $place | Where-Object { $_.Thumbprint -eq $asked.hash -and $_.HasPrivateKey }
  if (-not $present) {
    $parts = [Text.Encoding]::ASCII.GetString([Convert]::FromBase64String($secret)).Split("`n")
    $word = [Security.SecureString]::new()
    foreach ($each in $parts[0].ToCharArray()) { $word.AppendChar($each) }
    $flags = [Security.Cryptography.X509Certificates.X509KeyStorageFlags] 'MachineKeySet, PersistKeySet'
    $bytes = [Convert]::FromBase64String($parts[1])
    $leaf = [Security.Cryptography.X509Certificates.X509Certificate2]::new($bytes, $word, $flags)
    $leaf.FriendlyName = $asked.name
    $store = [Security.Cryptography.X509Certificates.X509Store]::new($asked.store, 'LocalMachine')
    $store.Open('ReadWrite')
    try { $store.Add($leaf) } finally { $store.Close() }
  }
  $above = [Security.Cryptography.X509Certificates.X509Store]::new('CA', 'LocalMachine')
  $above.Open('ReadWrite')
  try {
    foreach ($each in @($asked.chain)) {
      if ($each) {
        $bytes = [Convert]::FromBase64String($each)
        $above.Add([Security.Cryptography.X509Certificates.X509Certificate2]::new($bytes))
      }
    }
  } finally { $above.Close() }
  $new = Get-ChildItem -LiteralPath $place | Where-Object { $_.Thumbprint -eq $asked.hash }
  $file = Find-KeyFile $new
  if (-not $file) { throw 'There is no file of the private key.' }
  $acl = Get-Acl -LiteralPath $file
  $old = Get-ChildItem -Path Cert:\LocalMachine -Recurse | Where-Object { $_.Thumbprint -eq $asked.old -and $_.HasPrivateKey }
  $oldFile = $(if ($old) { Find-KeyFile (@($old)[0]) })
  if ($oldFile) {
    foreach ($rule in (Get-Acl -LiteralPath $oldFile).Access) { if (-not $rule.IsInherited) { $acl.AddAccessRule($rule) } }
  }
  foreach ($reader in @($asked.readers)) {
    if ($reader) { $acl.AddAccessRule([Security.AccessControl.FileSystemAccessRule]::new($reader, 'Read', 'Allow')) }
  }
  [IO.File]::SetAccessControl($file, $acl)
  @{ Done = $true; Present = [bool] $present }
"""
)
"""Imports the pair beside the others, not to be exported again, with the readers that the old key has; and the chain."""

READ = (
    _GUARDED
    % r"""
  $hash = $null
  $store = 'My'
  $found = $false
  switch ($asked.use) {
    'iis' {
      [void] [Reflection.Assembly]::LoadFrom("$env:SystemRoot\System32\inetsrv\Microsoft.Web.Administration.dll")
      $manager = [Microsoft.Web.Administration.ServerManager]::new()
      $site = $manager.Sites | Where-Object { $_.Name -eq $asked.site }
      $binding = $(if ($site) {
        $site.Bindings | Where-Object { $_.Protocol -eq 'https' -and $_.BindingInformation -eq $asked.binding }
      })
      if ($binding) {
        $found = $true
        if ($binding.CertificateHash) { $hash = [BitConverter]::ToString($binding.CertificateHash).Replace('-', '') }
        if ($binding.CertificateStoreName) { $store = $binding.CertificateStoreName }
      }
    }
    'http.sys' {
      foreach ($kind in 'SslBindingInfo', 'SslSniBindingInfo') {
        $key = 'SYSTEM\CurrentControlSet\Services\HTTP\Parameters\' + $kind + '\' + $asked.binding
        $item = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($key)
        if ($item) {
          $found = $true
          $hash = [BitConverter]::ToString($item.GetValue('SslCertHash')).Replace('-', '')
          if ($item.GetValue('SslCertStoreName')) { $store = $item.GetValue('SslCertStoreName') }
        }
      }
    }
    'rdp' {
      $setting = Get-CimInstance -Namespace root/cimv2/TerminalServices -ClassName Win32_TSGeneralSetting |
        Where-Object { $_.TerminalName -eq 'RDP-Tcp' }
      $found = [bool] $setting
      $hash = $setting.SSLCertificateSHA1Hash
    }
    'winrm' {
      $selector = @{ Address = '*'; Transport = 'HTTPS' }
      $listener = Get-WSManInstance -ResourceURI winrm/config/Listener -SelectorSet $selector
      $found = [bool] $listener
      $hash = ([string] $listener.CertificateThumbprint).Replace(' ', '').ToUpperInvariant()
    }
  }
  $held = $null
  if ($hash) { $held = Get-ChildItem -LiteralPath "Cert:\LocalMachine\$store" | Where-Object { $_.Thumbprint -eq $hash } }
  @{
    Done = $true
    Found = $found
    Hash = $hash
    Store = $store
    Raw = $(if ($held) { [Convert]::ToBase64String($held.RawData) })
  }
"""
)
"""Tells what is bound."""

BIND = (
    _GUARDED
    % r"""
  $bytes = [byte[]] @(for ($at = 0; $at -lt $asked.hash.Length; $at += 2) { [Convert]::ToByte($asked.hash.Substring($at, 2), 16) })
  switch ($asked.use) {
    'iis' {
      [void] [Reflection.Assembly]::LoadFrom("$env:SystemRoot\System32\inetsrv\Microsoft.Web.Administration.dll")
      $manager = [Microsoft.Web.Administration.ServerManager]::new()
      $site = $manager.Sites | Where-Object { $_.Name -eq $asked.site }
      $binding = $site.Bindings | Where-Object { $_.Protocol -eq 'https' -and $_.BindingInformation -eq $asked.binding }
      $binding.CertificateHash = $bytes
      $binding.CertificateStoreName = $asked.store
      $manager.CommitChanges()
    }
    'http.sys' {
      $base = 'SYSTEM\CurrentControlSet\Services\HTTP\Parameters\'
      $name = 'ipport'
      $item = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($base + 'SslBindingInfo\' + $asked.binding)
      if (-not $item) {
        $name = 'hostnameport'
        $item = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($base + 'SslSniBindingInfo\' + $asked.binding)
      }
      $application = [Guid]::new([byte[]] $item.GetValue('AppId')).ToString('B')
      $netsh = Join-Path $env:SystemRoot 'System32\netsh.exe'
      $said = & $netsh http update sslcert "$name=$($asked.binding)" "certhash=$($asked.hash)" "appid=$application" `
        "certstorename=$($asked.store)"
      if ($LASTEXITCODE) { throw ($said -join ' ') }
    }
    'rdp' {
      $setting = Get-CimInstance -Namespace root/cimv2/TerminalServices -ClassName Win32_TSGeneralSetting |
        Where-Object { $_.TerminalName -eq 'RDP-Tcp' }
      Set-CimInstance -InputObject $setting -Property @{ SSLCertificateSHA1Hash = $asked.hash }
    }
    'winrm' {
      $selector = @{ Address = '*'; Transport = 'HTTPS' }
      [void] (Set-WSManInstance -ResourceURI winrm/config/Listener -SelectorSet $selector `
        -ValueSet @{ CertificateThumbprint = $asked.hash })
    }
  }
  @{ Done = $true }
"""
)
"""Binds a certificate in place of the one that is bound: a change of one value each, so there is no moment without any."""

SWEEP = (
    _USED
    + _GUARDED
    % r"""
  $used = @(Get-UsedHashes)
  foreach ($listener in @(Get-ChildItem -Path WSMan:\localhost\Listener -ErrorAction SilentlyContinue)) {
    $used += ([string] (Get-ChildItem -LiteralPath $listener.PSPath |
      Where-Object { $_.Name -eq 'CertificateThumbprint' }).Value).Replace(' ', '').ToUpperInvariant()
  }
  $gone = @()
  foreach ($each in @(Get-ChildItem -LiteralPath ('Cert:\LocalMachine\' + $asked.store))) {
    if (-not $each.FriendlyName.StartsWith($asked.ours, 'Ordinal')) { continue }
    if ($each.Thumbprint -eq $asked.keep -or $used -contains $each.Thumbprint) { continue }
    Remove-Item -LiteralPath $each.PSPath -DeleteKey
    $gone += $each.Thumbprint
  }
  @{ Done = $true; Gone = $gone }
"""
)
"""Removes what we have put there ourselves, with its key, where nothing uses it: Windows itself would let it go."""

EVERY = (STAGE, READ, BIND, SWEEP)
