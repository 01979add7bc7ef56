//! The user's choice of settings.

use super::spec::{DefaultRule, Setting, SettingChoice};

impl SettingChoice {
    /// Why `setting` is not applied; `None` when it is.
    pub(crate) fn refusal(&self, setting: Setting, same_table: bool) -> Option<String> {
        // First, because `--without` takes precedence over `--with`.
        if self.without.contains(&setting) {
            return Some("excluded by --without".to_owned());
        }

        let reason = match setting.0.default {
            _ if self.with.contains(&setting) => return None,
            DefaultRule::Applied => return None,
            DefaultRule::SameTable(_) if same_table => return None,
            DefaultRule::SameTable(reason) | DefaultRule::Skipped(reason) => reason,
        };

        Some(format!("{reason}; --with {setting} applies it"))
    }

    /// Whether `setting` is applied.
    pub(crate) fn applies(&self, setting: Setting, same_table: bool) -> bool {
        self.refusal(setting, same_table).is_none()
    }
}
