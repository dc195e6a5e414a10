"""The scripts that a Windows host runs for us, for Windows PowerShell 5.1. They read; nothing in them writes.

Where Windows has a command that speaks the language of its user (`netsh http show sslcert`), they read the registry or WMI
instead. Private keys are opened to learn where they are and whose they are, and are never exported.
"""

WHO = r"""
$me = [Security.Principal.WindowsIdentity]::GetCurrent()
$administrator = [Security.Principal.WindowsBuiltInRole]::Administrator
@{
  Name = $me.Name
  Computer = $env:COMPUTERNAME
  IsAdministrator = (New-Object Security.Principal.WindowsPrincipal $me).IsInRole($administrator)
}
"""
CERTIFICATES = r"""
$after = [string] $asked.after
$left = [int] $asked.count
$folders = 'Microsoft\Crypto\Keys', 'Microsoft\Crypto\RSA\MachineKeys', 'Microsoft\Crypto\SystemKeys'
$found = @()
$gaps = @()
foreach ($store in @($asked.stores)) {
  $place = Join-Path 'Cert:\LocalMachine' $store
  $held = @()
  try {
    if (Test-Path -LiteralPath $place) { $held = @(Get-ChildItem -LiteralPath $place | Sort-Object -Property Thumbprint) }
  } catch { $gaps += @{ Scope = $store; Text = $_.Exception.Message } }
  foreach ($each in $held) {
    if ($left -le 0) { break }
    if ($after -and [string]::CompareOrdinal($each.Thumbprint, $after) -le 0) { continue }
    $key = $null
    if ($each.HasPrivateKey) {
      $key = @{ Name = $null; Provider = $null; IsExportable = $null; IsMatch = $null; File = $null; Sddl = $null }
      try {
        $private = [Security.Cryptography.X509Certificates.RSACertificateExtensions]::GetRSAPrivateKey($each)
        if ($private) {
          $public = [Security.Cryptography.X509Certificates.RSACertificateExtensions]::GetRSAPublicKey($each)
          $own = [Convert]::ToBase64String($private.ExportParameters($false).Modulus)
          $key.IsMatch = $own -eq [Convert]::ToBase64String($public.ExportParameters($false).Modulus)
        } else {
          $private = [Security.Cryptography.X509Certificates.ECDsaCertificateExtensions]::GetECDsaPrivateKey($each)
        }
        if ($private -is [Security.Cryptography.RSACryptoServiceProvider]) {
          $key.Name = $private.CspKeyContainerInfo.UniqueKeyContainerName
          $key.Provider = $private.CspKeyContainerInfo.ProviderName
          $key.IsExportable = $private.CspKeyContainerInfo.Exportable
        } elseif ($private.Key) {
          $key.Name = $private.Key.UniqueName
          $key.Provider = $private.Key.Provider.Provider
          $key.IsExportable = ([int] $private.Key.ExportPolicy -band 3) -ne 0
        }
        foreach ($folder in $folders) {
          $file = Join-Path (Join-Path $env:ProgramData $folder) ([string] $key.Name)
          if ($key.Name -and (Test-Path -LiteralPath $file -PathType Leaf)) {
            $key.File = $file
            $key.Sddl = (Get-Acl -LiteralPath $file).Sddl
          }
        }
      } catch { $key.Text = $_.Exception.Message }
    }
    $found += @{
      Store = $store
      Thumbprint = $each.Thumbprint
      Raw = [Convert]::ToBase64String($each.RawData)
      Key = $key
    }
    $left--
  }
  $after = ''
}
@{ Certificates = $found; Gaps = $gaps; IsFull = ($left -le 0) }
"""
USES = r"""
$told = @{ Http = @(); Iis = @(); Rdp = @(); Sql = @(); Intermediates = @(); Addresses = @(); Role = $null; Gaps = @() }
try {
  foreach ($kind in 'SslBindingInfo', 'SslSniBindingInfo', 'SslCcsBindingInfo') {
    $base = 'HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\' + $kind
    if (-not (Test-Path -LiteralPath $base)) { continue }
    foreach ($each in @(Get-ChildItem -LiteralPath $base)) {
      $hash = $each.GetValue('SslCertHash')
      $application = $each.GetValue('AppId')
      $told.Http += @{
        Kind = $kind
        Endpoint = $each.PSChildName
        Hash = $(if ($hash) { [BitConverter]::ToString($hash).Replace('-', '') })
        Store = $each.GetValue('SslCertStoreName')
        Application = $(if ($application) { (New-Object Guid (,[byte[]] $application)).ToString() })
      }
    }
  }
} catch { $told.Gaps += @{ Scope = 'http.sys'; Text = $_.Exception.Message } }
try {
  if (Get-Module -ListAvailable -Name WebAdministration) {
    Import-Module -Name WebAdministration
    foreach ($each in @(Get-WebBinding -Protocol https)) {
      $told.Iis += @{
        Site = $(if ($each.ItemXPath -match "@name='([^']*)'") { $Matches[1] })
        Binding = $each.bindingInformation
        Flags = [int] $each.sslFlags
        Hash = $each.certificateHash
        Store = $each.certificateStoreName
      }
    }
  }
} catch { $told.Gaps += @{ Scope = 'iis'; Text = $_.Exception.Message } }
try {
  $server = 'HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server'
  if ((Get-ItemProperty -LiteralPath $server).fDenyTSConnections -eq 0) {
    $port = (Get-ItemProperty -LiteralPath "$server\WinStations\RDP-Tcp").PortNumber
    foreach ($each in @(Get-CimInstance -Namespace root/cimv2/TerminalServices -ClassName Win32_TSGeneralSetting)) {
      $told.Rdp += @{ Name = $each.TerminalName; Hash = $each.SSLCertificateSHA1Hash; Port = $port }
    }
  }
} catch { $told.Gaps += @{ Scope = 'rdp'; Text = $_.Exception.Message } }
try {
  $root = 'HKLM:\SOFTWARE\Microsoft\Microsoft SQL Server'
  if (Test-Path -LiteralPath "$root\Instance Names\SQL") {
    $instances = Get-Item -LiteralPath "$root\Instance Names\SQL"
    foreach ($name in $instances.GetValueNames()) {
      $net = "$root\" + $instances.GetValue($name) + '\MSSQLServer\SuperSocketNetLib'
      $tcp = Get-ItemProperty -LiteralPath "$net\Tcp\IPAll"
      $told.Sql += @{
        Instance = $name
        Hash = (Get-ItemProperty -LiteralPath $net).Certificate
        Port = $(if ($tcp.TcpPort) { $tcp.TcpPort } else { $tcp.TcpDynamicPorts })
      }
    }
  }
} catch { $told.Gaps += @{ Scope = 'sql-server'; Text = $_.Exception.Message } }
try {
  $told.Role = (Get-CimInstance -ClassName Win32_ComputerSystem).DomainRole
  $told.Addresses = @([Net.Dns]::GetHostAddresses([Net.Dns]::GetHostName()) | ForEach-Object { $_.ToString() })
} catch { $told.Gaps += @{ Scope = 'computer'; Text = $_.Exception.Message } }
try {
  $told.Intermediates = @(
    Get-ChildItem -LiteralPath Cert:\LocalMachine\CA | Select-Object -First 1000 |
      ForEach-Object { [Convert]::ToBase64String($_.RawData) }
  )
} catch { $told.Gaps += @{ Scope = 'LocalMachine/CA'; Text = $_.Exception.Message } }
$told
"""
ISSUED = r"""
$certutil = Join-Path $env:SystemRoot 'System32\certutil.exe'
$lines = @(& $certutil -view -restrict $asked.restrict -out $asked.out csv | Select-Object -First $asked.lines)
@{ Text = ($lines -join "`n"); Count = $lines.Count; Status = $LASTEXITCODE }
"""
EVERY = (WHO, CERTIFICATES, USES, ISSUED)
