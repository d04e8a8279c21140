//! The two inputs of a group, read by its owner.

use wal::{Log, Partition, Reader, WalError};

use crate::Group;

/// See the module.
pub(crate) struct Inputs {
    /// Clients' commands.
    pub(crate) commands: Box<dyn Reader>,
    /// Other groups' messages.
    pub(crate) messages: Box<dyn Reader>,
}

impl Inputs {
    /// After what the group has consumed.
    pub(crate) fn open(log: &dyn Log, group: &Group) -> Result<Inputs, WalError> {
        let (commands, messages) = group.input_positions();
        Ok(Inputs {
            commands: log.open_reader(Partition::commands(group.id()), commands)?,
            messages: log.open_reader(Partition::messages(group.id()), messages)?,
        })
    }
}
