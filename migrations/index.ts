import type { Migration } from 'kysely/migration';
import * as createCatalogue from './20261124080000_create_catalogue.ts';
import * as createFleet from './20261124080100_create_fleet.ts';
import * as createUpdates from './20261124080200_create_updates.ts';
import * as findDevices from './20261124090000_find_devices.ts';
import * as createObservations from './20261124091000_create_observations.ts';
import * as countFleet from './20261124092000_count_fleet.ts';
import * as extendUpdates from './20261124100000_extend_updates.ts';
import * as keepSlots from './20261124110000_keep_slots.ts';
import * as judgeAfterResume from './20261124110100_judge_after_resume.ts';
import * as tellEvents from './20261124110200_tell_events.ts';
import * as createIotDevices from './20261124120000_create_iot_devices.ts';
import * as offerExecutions from './20261124120010_offer_executions.ts';
import * as createAssemblies from './20261124130000_create_assemblies.ts';
import * as numberManifests from './20261124130001_number_manifests.ts';
import * as planFaster from './20261124150000_plan_faster.ts';
import * as recallDispatches from './20261124160000_recall_dispatches.ts';
import * as namePhases from './20261126100000_name_phases.ts';
import * as findExecutionsByPhase from './20261126100100_find_executions_by_phase.ts';
import * as noteOutages from './20261126100200_note_outages.ts';
import * as keepStatedTimes from './20261126110000_keep_stated_times.ts';
import * as noticeLateWalks from './20261126120000_notice_late_walks.ts';
import * as keepFinalFigures from './20261126130000_keep_final_figures.ts';
import * as removeOldRows from './20261126130100_remove_old_rows.ts';
import * as brake from './20261126130200_brake.ts';
import * as keepFirstAnswers from './20261126140000_keep_first_answers.ts';
import * as nameIotFirmware from './20261126150000_name_iot_firmware.ts';
import * as extendCatalogue from './20261126160000_extend_catalogue.ts';
import * as keepAttributes from './20261126170000_keep_attributes.ts';
import * as findByWhatPeopleLookFor from './20261126180000_find_by_what_people_look_for.ts';
import * as placeDevices from './20261126190000_place_devices.ts';
import * as keepAudit from './20261126190100_keep_audit.ts';
import * as authorSignatures from './20261126230000_author_signatures.ts';
import * as keepGroups from './20261126231000_keep_groups.ts';
import * as keepDailyShares from './20261126232000_keep_daily_shares.ts';
import * as recountAlone from './20261126232100_recount_alone.ts';
import * as sortLists from './20261127300000_sort_lists.ts';
import * as noteUnheardReports from './20261127310000_note_unheard_reports.ts';
import * as steerByZone from './20261127500000_steer_by_zone.ts';
import * as askForApproval from './20261127510000_ask_for_approval.ts';
import * as writeLess from './20261128400000_write_less.ts';
import * as keepUpdatesOpen from './20261128410000_keep_updates_open.ts';
import * as judgeRevisions from './20261128420000_judge_revisions.ts';
import * as supersedeUpdates from './20261128420100_supersede_updates.ts';
import * as notePauses from './20261129000000_note_pauses.ts';
import * as claimDevices from './20261129100000_claim_devices.ts';
import * as countAlreadyOnTarget from './20261129200000_count_already_on_target.ts';

/** Every migration by its name, in the order in which they run. A list rather than a folder scan, so that it can be bundled. */
export const migrations: Record<string, Migration> = {
  '20261124080000_create_catalogue': createCatalogue,
  '20261124080100_create_fleet': createFleet,
  '20261124080200_create_updates': createUpdates,
  '20261124090000_find_devices': findDevices,
  '20261124091000_create_observations': createObservations,
  '20261124092000_count_fleet': countFleet,
  '20261124100000_extend_updates': extendUpdates,
  '20261124110000_keep_slots': keepSlots,
  '20261124110100_judge_after_resume': judgeAfterResume,
  '20261124110200_tell_events': tellEvents,
  '20261124120000_create_iot_devices': createIotDevices,
  '20261124120010_offer_executions': offerExecutions,
  '20261124130000_create_assemblies': createAssemblies,
  '20261124130001_number_manifests': numberManifests,
  '20261124150000_plan_faster': planFaster,
  '20261124160000_recall_dispatches': recallDispatches,
  '20261126100000_name_phases': namePhases,
  '20261126100100_find_executions_by_phase': findExecutionsByPhase,
  '20261126100200_note_outages': noteOutages,
  '20261126110000_keep_stated_times': keepStatedTimes,
  '20261126120000_notice_late_walks': noticeLateWalks,
  '20261126130000_keep_final_figures': keepFinalFigures,
  '20261126130100_remove_old_rows': removeOldRows,
  '20261126130200_brake': brake,
  '20261126140000_keep_first_answers': keepFirstAnswers,
  '20261126150000_name_iot_firmware': nameIotFirmware,
  '20261126160000_extend_catalogue': extendCatalogue,
  '20261126170000_keep_attributes': keepAttributes,
  '20261126180000_find_by_what_people_look_for': findByWhatPeopleLookFor,
  '20261126190000_place_devices': placeDevices,
  '20261126190100_keep_audit': keepAudit,
  '20261126230000_author_signatures': authorSignatures,
  '20261126231000_keep_groups': keepGroups,
  '20261126232000_keep_daily_shares': keepDailyShares,
  '20261126232100_recount_alone': recountAlone,
  '20261127300000_sort_lists': sortLists,
  '20261127310000_note_unheard_reports': noteUnheardReports,
  '20261127500000_steer_by_zone': steerByZone,
  '20261127510000_ask_for_approval': askForApproval,
  '20261128400000_write_less': writeLess,
  '20261128410000_keep_updates_open': keepUpdatesOpen,
  '20261128420000_judge_revisions': judgeRevisions,
  '20261128420100_supersede_updates': supersedeUpdates,
  '20261129000000_note_pauses': notePauses,
  '20261129100000_claim_devices': claimDevices,
  '20261129200000_count_already_on_target': countAlreadyOnTarget,
};
